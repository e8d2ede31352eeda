// What a Device holds of OpenCL. Only this folder's .cpp files include it.
#pragma once

#include <CL/cl.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "device/opencl/check.hpp"
#include "device/opencl/device.hpp"
#include "device/opencl/profile.hpp"

namespace dovetail::opencl {

struct Device::Handles {
  cl_device_id device = nullptr;
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;
  cl_command_queue transfers = nullptr;     // beside the kernels; made when first used
  std::map<std::string, Program> programs;  // by source name and options
  // Of the queues, where a timeline is recorded when they are made.
  std::optional<Profile> profile, transfer_profile;

  Handles(cl_platform_id platform, cl_device_id chosen) : device(chosen) {
    const cl_context_properties properties[] = {
        CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(platform), 0};
    cl_int status = CL_SUCCESS;
    context = clCreateContext(properties, 1, &device, nullptr, nullptr, &status);
    check(status, "clCreateContext");
    queue = clCreateCommandQueue(context, device, queue_properties(), &status);
    if (status != CL_SUCCESS) clReleaseContext(context);
    check(status, "clCreateCommandQueue");
  }
  ~Handles() {
    profile.reset();
    transfer_profile.reset();
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
    transfers = clCreateCommandQueue(context, device, queue_properties(), &status);
    check(status, "clCreateCommandQueue");
    if (timeline::on()) transfer_profile.emplace(context, transfers, "OpenCL copies");
    return transfers;
  }
  /// Where a command of the kernels' queue puts its event; null where none is wanted.
  cl_event* event_of(timeline::Category category, std::string_view name, std::uint64_t bytes) {
    return profile ? profile->next(category, name, bytes) : nullptr;
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

 private:
  static cl_command_queue_properties queue_properties() {
    return timeline::on() ? CL_QUEUE_PROFILING_ENABLE : 0;
  }
};

}  // namespace dovetail::opencl
