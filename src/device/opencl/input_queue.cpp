// Events between the queue of copies and that of kernels.
#include "device/opencl/input_queue.hpp"

#include "device/opencl/check.hpp"
#include "device/opencl/handles.hpp"

namespace dovetail::opencl {
namespace {

cl_event handle_of(const std::shared_ptr<void>& event) {
  return static_cast<cl_event>(event.get());
}

std::shared_ptr<void> own_event(cl_event event) {
  return {event, [](void* handle) { clReleaseEvent(static_cast<cl_event>(handle)); }};
}

}  // namespace

bool Mark::reached() const {
  if (!event_) return true;
  cl_int status = CL_QUEUED;
  check(clGetEventInfo(handle_of(event_), CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status,
                       nullptr),
        "clGetEventInfo");
  if (status < 0) check(status, "copying input");
  return status == CL_COMPLETE;
}

void Mark::await() const {
  if (!event_) return;
  const cl_event event = handle_of(event_);
  check(clWaitForEvents(1, &event), "clWaitForEvents");
}

Mark InputQueue::write(const Buffer& buffer, const void* source, std::size_t bytes,
                       const Mark& after) {
  if (bytes == 0 || bytes > buffer.bytes()) {
    throw Error(fmt::format("OpenCL: a write of {} bytes into a buffer of {} bytes", bytes,
                            buffer.bytes()));
  }
  auto& copies = device_.handles_->copies_of_input();
  const cl_event before = handle_of(after.event_);
  cl_event event = nullptr;
  check(clEnqueueWriteBuffer(copies.queue, static_cast<cl_mem>(buffer.memory_.get()), CL_FALSE, 0,
                             bytes, source, before ? 1 : 0, before ? &before : nullptr, &event),
        "clEnqueueWriteBuffer");
  Mark copied;
  copied.event_ = own_event(event);
  if (copies.profile) copies.profile->add(event, timeline::Category::copy, "write", bytes);
  return copied;
}

void InputQueue::hold_kernels(const Mark& copied) {
  if (!copied) return;
  check(clFlush(device_.handles_->copies_of_input().queue), "clFlush");
  const cl_event event = handle_of(copied.event_);
  check(clEnqueueBarrierWithWaitList(device_.handles_->queue, 1, &event, nullptr),
        "clEnqueueBarrierWithWaitList");
}

Mark InputQueue::mark_kernels() {
  cl_event event = nullptr;
  check(clEnqueueMarkerWithWaitList(device_.handles_->queue, 0, nullptr, &event),
        "clEnqueueMarkerWithWaitList");
  Mark mark;
  mark.event_ = own_event(event);
  return mark;
}

}  // namespace dovetail::opencl
