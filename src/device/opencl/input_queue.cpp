// Events between the queue of copies and that of kernels.
#include "device/opencl/input_queue.hpp"

#include "device/opencl/check.hpp"
#include "device/opencl/handles.hpp"

namespace dovetail::opencl {
namespace {

cl_event handle_of(const std::shared_ptr<void>& event) {
  return static_cast<cl_event>(event.get());
}

}  // namespace

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
  Mark copied(event);
  if (copies.profile) copies.profile->add(event, timeline::Category::copy, "write", bytes);
  return copied;
}

void InputQueue::flush() {
  check(clFlush(device_.handles_->copies_of_input().queue), "clFlush");
}

void InputQueue::hold_kernels(const Mark& copied) {
  if (!copied) return;
  flush();
  const cl_event event = handle_of(copied.event_);
  check(clEnqueueBarrierWithWaitList(device_.handles_->queue, 1, &event, nullptr),
        "clEnqueueBarrierWithWaitList");
}

}  // namespace dovetail::opencl
