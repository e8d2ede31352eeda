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
  std::map<std::string, Program> programs;  // by source name and options
  std::optional<Profile> profile;  // of the queue, where a timeline is recorded when it is made
  /// A queue of copies beside the kernels; its commands' times may always be asked for.
  struct Copies {
    cl_command_queue queue = nullptr;
    std::optional<Profile> profile{};  // as above
  };
  // One each way: copies to the host are enqueued ahead and wait for their kernels, and no copy to
  // the device is to wait behind them. Input is copied ahead and may wait for kernels, too.
  Copies to_host, to_device, input;
  cl_command_queue mapping = nullptr;  // of host memory: waits for no other command

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
    to_host.profile.reset();
    to_device.profile.reset();
    input.profile.reset();
    programs.clear();
    for (cl_command_queue each : {to_host.queue, to_device.queue, input.queue, mapping, queue}) {
      if (!each) continue;
      clFinish(each);
      clReleaseCommandQueue(each);
    }
    clReleaseContext(context);
  }
  /// `copies` with its queue, made when first asked for; `lane` of the timeline.
  Copies& open(Copies& copies, const char* lane) {
    if (copies.queue) return copies;
    copies.queue = make_queue(CL_QUEUE_PROFILING_ENABLE);
    if (timeline::on()) copies.profile.emplace(context, copies.queue, lane);
    return copies;
  }
  Copies& copies_to_host() { return open(to_host, "OpenCL copies to the host"); }
  Copies& copies_to_device() { return open(to_device, "OpenCL copies to the device"); }
  /// Its commands' times are of interest to a timeline alone, which sets them beside the kernels'.
  Copies& copies_of_input() {
    if (input.queue) return input;
    input.queue = make_queue(queue_properties());
    if (profile) input.profile.emplace(*profile, input.queue, "OpenCL copies of input");
    return input;
  }
  cl_command_queue maps() {
    if (!mapping) mapping = make_queue(0);
    return mapping;
  }
  /// Where a command of the kernels' queue puts its event; null where none is wanted.
  cl_event* event_of(timeline::Category category, std::string_view name, std::uint64_t bytes) {
    return profile ? profile->next(category, name, bytes) : nullptr;
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

 private:
  cl_command_queue make_queue(cl_command_queue_properties properties) const {
    cl_int status = CL_SUCCESS;
    cl_command_queue made = clCreateCommandQueue(context, device, properties, &status);
    check(status, "clCreateCommandQueue");
    return made;
  }
  static cl_command_queue_properties queue_properties() {
    return timeline::on() ? CL_QUEUE_PROFILING_ENABLE : 0;
  }
};

}  // namespace dovetail::opencl
