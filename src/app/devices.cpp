// Lists this host's devices for people and for programs.
#include "app/devices.hpp"

#include <algorithm>

#include "device/opencl/device.hpp"
#include "device/xrt/card.hpp"
#include "support/error.hpp"
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

bool has_usable(const std::vector<DeviceInfo>& devices, DeviceKind kind, DeviceKind substitute) {
  return std::any_of(devices.begin(), devices.end(), [&](const DeviceInfo& device) {
    return device.unusable.empty() && (device.kind == kind || device.kind == substitute);
  });
}

/// What a person should know where one of the two roles has no device; each line ended.
std::string advice(const std::vector<DeviceInfo>& devices) {
  std::string text;
  if (!has_usable(devices, DeviceKind::gpu, DeviceKind::cpu)) {
    text += "GPU ranks cannot run here: no usable OpenCL GPU or CPU. ";
    text += "Install the GPU's driver, or PoCL for the CPU (package pocl-opencl-icd; where it is ";
    text += "there, name a folder that it can write by POCL_CACHE_DIR)\n";
  }
  if (!has_usable(devices, DeviceKind::fpga, DeviceKind::emulated_fpga)) {
    text += "FPGA ranks cannot run here: no usable FPGA card";
    text += fpga::built_with_xrt() ? "\n" : ", and this build has no Xilinx XRT\n";
  }
  return text;
}

std::vector<DeviceInfo> list_cards_or_emulated_one() {
  if (fpga::host_has_card() || !fpga::built_with_emulated_card()) return fpga::list_cards();
  try {
    fpga::use_emulated_cards(1);
    return fpga::list_cards();
  } catch (const Error& failure) {
    DeviceInfo missing;
    missing.kind = DeviceKind::emulated_fpga;
    missing.platform = "XRT";
    missing.unusable = failure.what();
    return {missing};
  }
}

}  // namespace

std::vector<DeviceInfo> list_all_devices() {
  // Cards come first: XRT may have an OpenCL platform of its own, which would settle XRT's driver
  // before the emulated card can be put in place.
  const std::vector<DeviceInfo> cards = list_cards_or_emulated_one();
  std::vector<DeviceInfo> devices = opencl::list_devices();
  devices.insert(devices.end(), cards.begin(), cards.end());
  return devices;
}

std::string devices_text(const std::vector<DeviceInfo>& devices) {
  std::vector<std::vector<std::string>> rows;
  for (const DeviceInfo& device : devices) {
    rows.push_back(
        {to_string(device.kind), fmt::format("{}: {}", device.index, device.name),
         or_dash(device.platform), or_dash(device.driver), or_dash(device.address),
         device.memory_bytes > 0 ? format_bytes(static_cast<double>(device.memory_bytes)) : "-",
         device.compute_units > 0 ? fmt::format("{:>5}", device.compute_units) : "    -",
         remark(device)});
  }
  const std::vector<std::string> head{"kind",    "device", "platform", "driver",
                                      "address", "memory", "units",    "usable"};
  std::string text = (rows.empty() ? "" : format_table(head, rows)) + advice(devices);
  if (const std::string remark = opencl::instructions_remark(); !remark.empty())
    text += remark + "\n";
  text.pop_back();  // lines are ended by the log
  return text;
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

void report_devices(const std::string& json_file) {
  const std::vector<DeviceInfo> devices = list_all_devices();
  if (json_file.empty()) {
    log::note(devices_text(devices));
    return;
  }
  const std::string text = dump(devices_json(devices), 2);
  if (json_file == "-") {
    log::note(text);
  } else {
    replace_file_text(json_file, text + '\n');
  }
}

}  // namespace dovetail::app
