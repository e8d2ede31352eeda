// The OpenCL handles behind list_devices(). Only this folder's .cpp files include it.
#pragma once

#include <CL/cl.h>

#include <string>
#include <vector>

#include "device/device_info.hpp"

namespace dovetail::opencl {

struct ListedDevice {
  cl_platform_id platform;
  cl_device_id device;
  DeviceInfo info;
};

/// Of the platforms that `wanted` accepts by name; without it, of all.
std::vector<ListedDevice> enumerate(bool (*wanted)(const std::string& platform) = nullptr);

}  // namespace dovetail::opencl
