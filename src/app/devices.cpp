// Lists this host's devices for people and for programs.
#include "app/devices.hpp"

#include <algorithm>

#include "device/opencl/device.hpp"
#include "device/xrt/card.hpp"
#include "support/file.hpp"
#include "support/log.hpp"
#include "support/table.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

std::string remark(const DeviceInfo& device) {
  if (!device.unusable.empty()) return "no: " + device.unusable;
  return device.kind == DeviceKind::emulated_fpga ? "yes, where there is no card" : "yes";
}

bool has_kind(const std::vector<DeviceInfo>& devices, std::initializer_list<DeviceKind> kinds) {
  return std::any_of(devices.begin(), devices.end(), [&](const DeviceInfo& device) {
    return std::find(kinds.begin(), kinds.end(), device.kind) != kinds.end();
  });
}

/// What a person could install; empty where there is a device for either role.
std::string advice(const std::vector<DeviceInfo>& devices) {
  std::string text;
  if (!has_kind(devices, {DeviceKind::gpu, DeviceKind::cpu})) {
    text +=
        "No OpenCL device: GPU ranks cannot run here. Install the GPU's driver, or PoCL for the "
        "CPU (package "
        "pocl-opencl-icd).\n";
  }
  if (!has_kind(devices, {DeviceKind::fpga, DeviceKind::emulated_fpga})) {
    text += fpga::built_with_xrt()
                ? "No FPGA card: FPGA ranks cannot run here.\n"
                : "No FPGA card: this build has no Xilinx XRT, so FPGA ranks cannot run here.\n";
  }
  return text;
}

}  // namespace

std::vector<DeviceInfo> list_all_devices() {
  // Cards come first: XRT may have an OpenCL platform of its own, which would settle XRT's driver
  // before the emulated card can be put in place.
  if (!fpga::host_has_card() && fpga::built_with_emulated_card()) fpga::use_emulated_cards(1);
  const std::vector<DeviceInfo> cards = fpga::list_cards();
  std::vector<DeviceInfo> devices = opencl::list_devices();
  devices.insert(devices.end(), cards.begin(), cards.end());
  return devices;
}

std::string devices_text(const std::vector<DeviceInfo>& devices) {
  std::vector<std::vector<std::string>> rows;
  for (const DeviceInfo& device : devices) {
    rows.push_back(
        {to_string(device.kind), format("{}: {}", device.index, device.name),
         or_dash(device.platform), or_dash(device.driver), or_dash(device.address),
         device.memory_bytes > 0 ? format_bytes(static_cast<double>(device.memory_bytes)) : "-",
         device.compute_units > 0 ? format("{:>5}", device.compute_units) : "    -",
         remark(device)});
  }
  const std::string table = rows.empty() ? ""
                                         : format_table({"kind", "device", "platform", "driver",
                                                         "address", "memory", "units", "usable"},
                                                        rows);
  return table + advice(devices);
}

Json devices_json(const std::vector<DeviceInfo>& devices) {
  Json list = Json::array();
  for (const DeviceInfo& device : devices) {
    list.push_back({{"kind", to_string(device.kind)},
                    {"index", device.index},
                    {"name", device.name},
                    {"platform", device.platform},
                    {"driver", device.driver},
                    {"address", device.address},
                    {"memory_bytes", device.memory_bytes},
                    {"compute_units", device.compute_units},
                    {"usable", device.unusable.empty()},
                    {"unusable_because", device.unusable}});
  }
  return list;
}

int run_devices(const std::string& json_file) {
  const std::vector<DeviceInfo> devices = list_all_devices();
  std::string text =
      json_file.empty()
          ? devices_text(devices)
          : devices_json(devices).dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
  if (!json_file.empty() && json_file != "-") {
    replace_file_text(json_file, text);
    return 0;
  }
  text.pop_back();  // the log ends the line
  log::note(text);
  return 0;
}

}  // namespace dovetail::app
