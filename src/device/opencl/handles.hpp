// What a Device holds of OpenCL. Only this folder's .cpp files include it.
#pragma once

#include <CL/cl.h>

#include <map>
#include <memory>
#include <string>

#include "device/opencl/check.hpp"
#include "device/opencl/device.hpp"

namespace dovetail::opencl {

struct Device::Handles {
  cl_device_id device = nullptr;
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;
  cl_command_queue transfers = nullptr;     // beside the kernels; made when first used
  std::map<std::string, Program> programs;  // by source name and options

  Handles(cl_platform_id platform, cl_device_id chosen) : device(chosen) {
    const cl_context_properties properties[] = {
        CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(platform), 0};
    cl_int status = CL_SUCCESS;
    context = clCreateContext(properties, 1, &device, nullptr, nullptr, &status);
    check(status, "clCreateContext");
    queue = clCreateCommandQueue(context, device, 0, &status);
    if (status != CL_SUCCESS) clReleaseContext(context);
    check(status, "clCreateCommandQueue");
  }
  ~Handles() {
    programs.clear();
    for (cl_command_queue each : {transfers, queue}) {
      if (!each) continue;
      clFinish(each);
      clReleaseCommandQueue(each);
    }
    clReleaseContext(context);
  }
  cl_command_queue transfer_queue() {
    if (transfers) return transfers;
    cl_int status = CL_SUCCESS;
    transfers = clCreateCommandQueue(context, device, 0, &status);
    check(status, "clCreateCommandQueue");
    return transfers;
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
};

}  // namespace dovetail::opencl
