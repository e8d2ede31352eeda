// Keeps the queue of a device's kernels waiting until a test has enqueued what it is about.
#pragma once

#include <cstdint>

#include "device/opencl/device.hpp"
#include "device/opencl/hosted_buffer.hpp"

namespace dovetail::testing {

/// By a kernel that waits for the host to raise a flag in memory that both see.
class HeldQueue {
 public:
  static constexpr const char* needs =
      "needs memory that a running kernel and the host share, and two threads";
  static bool works_on(const opencl::Device& device) {
    return device.is_cpu() && device.info().compute_units >= 2;
  }

  explicit HeldQueue(opencl::Device& device)
      : flag_(device, 4096, {}, opencl::HostedBuffer::Way::map),
        raised_(reinterpret_cast<volatile std::int32_t*>(flag_.host().data())) {
    device.finish();
    device.launch(device.build(source).kernel(entry), {{1, 1, 1}, {1, 1, 1}}, flag_.buffer());
    device.flush();
  }
  ~HeldQueue() { release(); }
  HeldQueue(const HeldQueue&) = delete;
  HeldQueue& operator=(const HeldQueue&) = delete;

  void release() { *raised_ = 1; }

 private:
  static constexpr kernels::Source source{"held_queue", R"(
kernel void wait_for_host(global const volatile int* flag) {
  while (*flag == 0) {}
})"};
  static constexpr kernels::Entry entry{&source, "wait_for_host"};

  opencl::HostedBuffer flag_;
  volatile std::int32_t* raised_;
};

}  // namespace dovetail::testing
