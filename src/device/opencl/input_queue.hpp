// Copies to the device in a queue of their own, beside the kernels', and the points at which the
// two wait for each other.
#pragma once

#include <cstddef>
#include <memory>

#include "device/opencl/device.hpp"

namespace dovetail::opencl {

/// When something that was enqueued is done: an event. An empty one has always been reached. Copies
/// share it.
class Mark {
 public:
  Mark() = default;
  explicit operator bool() const { return event_ != nullptr; }
  /// Whether it has been reached. Throws Error when the device failed.
  bool reached() const;
  /// Waits for it in the host; what it is of must have been flushed.
  void await() const;

 private:
  friend class InputQueue;
  std::shared_ptr<void> event_;  // cl_event
};

/// In order among themselves. Nothing here waits in the host. One thread at a time: the device's.
class InputQueue {
 public:
  explicit InputQueue(Device& device) : device_(device) {}

  /// Enqueues a copy that begins when `after` has been reached, which must be flushed. Until the
  /// mark that it returns `source` must stay as it is. From pinned memory (PinnedMemory) it goes on
  /// without the host. Throws Error past the buffer's end.
  Mark write(const Buffer& buffer, const void* source, std::size_t bytes, const Mark& after = {});
  /// Hands the copies so far to the device, and has the kernels enqueued from now on wait for
  /// `copied`, and so for all copies before it.
  void hold_kernels(const Mark& copied);
  /// When all that is enqueued now in the kernels' queue is done. Device::flush makes it one to
  /// wait for.
  Mark mark_kernels();

 private:
  Device& device_;
};

}  // namespace dovetail::opencl
