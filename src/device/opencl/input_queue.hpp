// Copies to the device in a queue of their own, beside the kernels', and the points at which the
// two wait for each other.
#pragma once

#include <cstddef>

#include "device/opencl/device.hpp"

namespace dovetail::opencl {

/// In order among themselves. Nothing here waits in the host. One thread at a time: the device's.
class InputQueue {
 public:
  explicit InputQueue(Device& device) : device_(device) {}

  /// Enqueues a copy that begins when `after` has been reached, which must be flushed. Until the
  /// mark that it returns `source` must stay as it is. From pinned memory (PinnedMemory) it goes on
  /// without the host. Throws Error past the buffer's end.
  Mark write(const Buffer& buffer, const void* source, std::size_t bytes, const Mark& after = {});
  /// Hands the copies so far to the device.
  void flush();
  /// The same, and has the kernels enqueued from now on wait for
  /// `copied`, and so for all copies before it.
  void hold_kernels(const Mark& copied);

 private:
  Device& device_;
};

}  // namespace dovetail::opencl
