// The OpenCL handles behind list_devices(). Only this folder's .cpp files include it.
#pragma once

#include <CL/cl.h>

#include <vector>

#include "device/device_info.hpp"

namespace dovetail::opencl {

struct ListedDevice {
  cl_platform_id platform;
  cl_device_id device;
  DeviceInfo info;
};

std::vector<ListedDevice> enumerate();

}  // namespace dovetail::opencl
