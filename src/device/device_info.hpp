// What a person and the placement need to know of one device.
#pragma once

#include <cstdint>
#include <string>

namespace dovetail {

enum class DeviceKind { gpu, cpu, accelerator, fpga, emulated_fpga };

inline const char* to_string(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::gpu:
      return "GPU";
    case DeviceKind::cpu:
      return "CPU";
    case DeviceKind::accelerator:
      return "accelerator";
    case DeviceKind::fpga:
      return "FPGA";
    case DeviceKind::emulated_fpga:
      return "emulated FPGA";
  }
  return "?";
}

struct DeviceInfo {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;         // among the devices of its API on this host (OpenCL or XRT)
  std::string name;      // "NVIDIA H200", "xilinx_u280_…"
  std::string platform;  // OpenCL platform, or "XRT"
  std::string driver;    // driver or shell version
  std::string address;   // PCI address, or UUID, or empty
  std::uint64_t memory_bytes = 0;
  int compute_units = 0;
  std::string unusable;  // empty when usable; otherwise why not
};

}  // namespace dovetail
