// Points in what a device has been given to do.
#pragma once

#include <memory>

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
  friend class Device;
  friend class InputQueue;
  explicit Mark(void* event);  // cl_event, whose only owner it becomes

  std::shared_ptr<void> event_;
};

}  // namespace dovetail::opencl
