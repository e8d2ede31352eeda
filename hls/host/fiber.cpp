// Fibers by ucontext on mapped stacks, which are kept for the next region.
#include "fiber.hpp"

#include <sys/mman.h>

#include <new>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace dovetail {
namespace hls {
namespace {

// On-chip memories are local arrays of the stages: up to 8 MiB of sums, line buffers. Pages are
// committed when touched.
constexpr std::size_t fiber_stack_bytes = std::size_t{24} << 20;
constexpr std::size_t guard_bytes = 4096;

class StackPool {
 public:
  ~StackPool() {
    for (void* stack : free_) munmap(stack, fiber_stack_bytes);
  }
  void* take() {
    if (!free_.empty()) {
      void* stack = free_.back();
      free_.pop_back();
      return stack;
    }
    void* stack = mmap(nullptr, fiber_stack_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) throw std::bad_alloc();
    mprotect(stack, guard_bytes, PROT_NONE);  // an overflow faults instead of writing elsewhere
    return stack;
  }
  void give_back(void* stack) { free_.push_back(stack); }

 private:
  std::vector<void*> free_;
};

thread_local StackPool stack_pool;
thread_local Fiber* left_fiber = nullptr;  // whom the last switch left, for the address sanitizer

}  // namespace

void Fiber::start(void (*entry)()) {
  stack_ = stack_pool.take();
  stack_bottom_ = stack_;
  stack_bytes_ = fiber_stack_bytes;
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = fiber_stack_bytes;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
#if defined(__SANITIZE_THREAD__)
  sanitizer_state_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  if (stack_ == nullptr) return;
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(sanitizer_state_);
#endif
  stack_pool.give_back(stack_);
}

void Fiber::switch_stacks(Fiber& next, bool for_good) {
  left_fiber = this;
#if defined(__SANITIZE_THREAD__)
  if (stack_ == nullptr) sanitizer_state_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(next.sanitizer_state_, 0);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &sanitizer_state_, next.stack_bottom_,
                                 next.stack_bytes_);
#endif
  if (for_good) {
    setcontext(&next.context_);
  } else {
    swapcontext(&context_, &next.context_);
    arrived();
  }
}

void Fiber::arrived() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(sanitizer_state_, &left_fiber->stack_bottom_,
                                  &left_fiber->stack_bytes_);
#endif
}

}  // namespace hls
}  // namespace dovetail
