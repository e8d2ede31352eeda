// One fiber: a stack of its own and the switches between it and others, also as the sanitizers need
// to be told of them.
#pragma once

#include <ucontext.h>

#include <cstddef>

namespace dovetail {
namespace hls {

/// A point of execution to switch away from and back to. Default-constructed it stands for the
/// calling thread's own stack; `start` gives it a new stack and an entry. Fibers are not moved
/// between threads.
class Fiber {
 public:
  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Prepares `entry` to run at the first switch to this fiber. It must never return: it ends with
  /// a `leave_to`.
  void start(void (*entry)());

  /// Leaves this fiber, which must be the running one, for `next`; returns when something switches
  /// back.
  void switch_to(Fiber& next) { switch_stacks(next, false); }
  /// Leaves this fiber for good.
  void leave_to(Fiber& next) { switch_stacks(next, true); }
  /// To be called first thing in an entry.
  void arrived();

 private:
  void switch_stacks(Fiber& next, bool for_good);

  ucontext_t context_;
  void* stack_ = nullptr;
  const void* stack_bottom_ = nullptr;  // as the address sanitizer is told
  std::size_t stack_bytes_ = 0;
  void* sanitizer_state_ = nullptr;
};

}  // namespace hls
}  // namespace dovetail
