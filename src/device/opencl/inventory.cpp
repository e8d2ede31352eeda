// Finds the OpenCL devices of this host and describes them.
#include "device/opencl/inventory.hpp"

#include <cstdlib>

#include "device/opencl/check.hpp"
#include "device/opencl/device.hpp"

namespace dovetail::opencl {
namespace {

// Vendor queries by number: they answer on the vendor's devices alone.
constexpr cl_device_info device_pci_bus_info_khr = 0x410F;  // cl_khr_pci_bus_info: four cl_uint
constexpr cl_device_info device_pci_bus_id_nv = 0x4008;     // cl_nv_device_attribute_query
constexpr cl_device_info device_pci_slot_id_nv = 0x4009;
constexpr cl_device_info device_pci_domain_id_nv = 0x400A;

std::string text_of(cl_device_id device, cl_device_info key) {
  std::size_t bytes = 0;
  if (clGetDeviceInfo(device, key, 0, nullptr, &bytes) != CL_SUCCESS || bytes == 0) return "";
  std::string text(bytes, '\0');
  check(clGetDeviceInfo(device, key, bytes, text.data(), nullptr), "clGetDeviceInfo");
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.pop_back();
  return text;
}

template <typename T>
T value_of(cl_device_id device, cl_device_info key) {
  T value{};
  return clGetDeviceInfo(device, key, sizeof value, &value, nullptr) == CL_SUCCESS ? value : T{};
}

std::string platform_name(cl_platform_id platform) {
  char name[256] = {};
  clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name - 1, name, nullptr);
  return name;
}

std::string pci_address(cl_device_id device) {
  struct {
    cl_uint domain, bus, device, function;
  } pci{};
  if (clGetDeviceInfo(device, device_pci_bus_info_khr, sizeof pci, &pci, nullptr) == CL_SUCCESS) {
    return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", pci.domain, pci.bus, pci.device, pci.function);
  }
  cl_uint bus = 0;
  cl_uint slot = 0;
  if (clGetDeviceInfo(device, device_pci_bus_id_nv, sizeof bus, &bus, nullptr) == CL_SUCCESS &&
      clGetDeviceInfo(device, device_pci_slot_id_nv, sizeof slot, &slot, nullptr) == CL_SUCCESS) {
    return fmt::format("{:04x}:{:02x}:{:02x}.{:x}",
                       value_of<cl_uint>(device, device_pci_domain_id_nv), bus, slot >> 3,
                       slot & 7);
  }
  return "";
}

DeviceKind kind_of(cl_device_id device) {
  const auto type = value_of<cl_device_type>(device, CL_DEVICE_TYPE);
  if (type & CL_DEVICE_TYPE_GPU) return DeviceKind::gpu;
  if (type & CL_DEVICE_TYPE_CPU) return DeviceKind::cpu;
  return DeviceKind::accelerator;
}

std::string why_unusable(cl_device_id device) {
  if (value_of<cl_bool>(device, CL_DEVICE_AVAILABLE) == CL_FALSE)
    return "the driver says that it is not available";
  if (value_of<cl_bool>(device, CL_DEVICE_COMPILER_AVAILABLE) == CL_FALSE)
    return "its driver has no compiler";
  if (value_of<cl_bool>(device, CL_DEVICE_ENDIAN_LITTLE) == CL_FALSE) return "it is big-endian";
  return "";
}

DeviceInfo describe(cl_platform_id platform, cl_device_id device, int index) {
  DeviceInfo info;
  info.kind = kind_of(device);
  info.index = index;
  info.name = text_of(device, CL_DEVICE_NAME);
  info.platform = platform_name(platform);
  info.driver = text_of(device, CL_DRIVER_VERSION);
  info.address = pci_address(device);
  info.memory_bytes = value_of<cl_ulong>(device, CL_DEVICE_GLOBAL_MEM_SIZE);
  info.compute_units = static_cast<int>(value_of<cl_uint>(device, CL_DEVICE_MAX_COMPUTE_UNITS));
  info.unusable = why_unusable(device);
  return info;
}

}  // namespace

std::vector<ListedDevice> enumerate(bool (*wanted)(const std::string& platform)) {
  cl_uint platform_count = 0;
  // No platform is a finding, not a failure: the loader says so with CL_PLATFORM_NOT_FOUND_KHR.
  if (clGetPlatformIDs(0, nullptr, &platform_count) != CL_SUCCESS || platform_count == 0) return {};
  std::vector<cl_platform_id> platforms(platform_count);
  check(clGetPlatformIDs(platform_count, platforms.data(), nullptr), "clGetPlatformIDs");
  std::vector<ListedDevice> found;
  for (cl_platform_id platform : platforms) {
    if (wanted != nullptr && !wanted(platform_name(platform))) continue;
    cl_uint count = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count) != CL_SUCCESS) continue;
    std::vector<cl_device_id> devices(count);
    check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, devices.data(), nullptr),
          "clGetDeviceIDs");
    for (cl_device_id device : devices) {
      found.push_back(
          {platform, device, describe(platform, device, static_cast<int>(found.size()))});
    }
  }
  return found;
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> infos;
  for (const ListedDevice& listed : enumerate()) infos.push_back(listed.info);
  return infos;
}

std::vector<DeviceInfo> list_gpus() {
  // PoCL counts its threads, and XRT looks for its driver, as soon as their devices are listed.
  const auto lists_quietly = [](const std::string& platform) {
    return platform != "Portable Computing Language" && platform != "Xilinx";
  };
  std::vector<DeviceInfo> gpus;
  for (const ListedDevice& listed : enumerate(lists_quietly)) {
    if (listed.info.kind == DeviceKind::gpu) gpus.push_back(listed.info);
  }
  return gpus;
}

void limit_cpu_threads(int threads) {
  // PoCL reads this when it starts its worker threads; 0 in the last argument keeps what the user
  // has set.
  setenv("POCL_MAX_PTHREAD_COUNT", std::to_string(threads).c_str(), 0);
}

}  // namespace dovetail::opencl
