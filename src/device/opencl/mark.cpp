// Asks OpenCL how far an event has come.
#include "device/opencl/mark.hpp"

#include <CL/cl.h>

#include "device/opencl/check.hpp"

namespace dovetail::opencl {

Mark::Mark(void* event)
    : event_(event, [](void* handle) { clReleaseEvent(static_cast<cl_event>(handle)); }) {}

bool Mark::reached() const {
  if (!event_) return true;
  cl_int status = CL_QUEUED;
  check(clGetEventInfo(static_cast<cl_event>(event_.get()), CL_EVENT_COMMAND_EXECUTION_STATUS,
                       sizeof status, &status, nullptr),
        "clGetEventInfo");
  if (status < 0) check(status, "waiting for a command");
  return status == CL_COMPLETE;
}

void Mark::await() const {
  if (!event_) return;
  const auto event = static_cast<cl_event>(event_.get());
  check(clWaitForEvents(1, &event), "clWaitForEvents");
}

}  // namespace dovetail::opencl
