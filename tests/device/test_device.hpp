// The OpenCL device that the tests run on.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "support/error.hpp"

namespace dovetail::testing {

/// DOVETAIL_TEST_DEVICE (an index in `dovetail devices`) where that is set; else the first usable
/// GPU; else the first usable device. Throws Error where there is none: these tests need one.
inline int test_device_index() {
  if (const char* wanted = std::getenv("DOVETAIL_TEST_DEVICE")) return std::stoi(wanted);
  const std::vector<DeviceInfo> devices = opencl::list_devices();
  for (const bool any_kind : {false, true}) {
    for (const DeviceInfo& info : devices) {
      if (info.unusable.empty() && (any_kind || info.kind == DeviceKind::gpu)) return info.index;
    }
  }
  throw Error("no usable OpenCL device to test on", "Install PoCL (package pocl-opencl-icd)");
}

/// Opened once in a process.
inline opencl::Device& test_device() {
  static opencl::Device device(test_device_index());
  return device;
}

}  // namespace dovetail::testing
