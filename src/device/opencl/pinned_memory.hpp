// Host memory that the driver has pinned: copies between it and the device are fastest, and go on
// without the host.
#pragma once

#include <cstddef>
#include <map>
#include <memory_resource>
#include <mutex>
#include <span>

#include "device/opencl/device.hpp"

namespace dovetail::opencl {

/// CL_MEM_ALLOC_HOST_PTR, mapped once and for as long as it is allocated: what NVIDIA documents as
/// the way to pinned memory (OpenCL Best Practices Guide, section 3.1.1). Any thread may allocate
/// and give back, at any time: mapping waits for no command of the device's other queues. What is
/// still allocated goes with it, and it may outlive the device.
class PinnedMemory final : public std::pmr::memory_resource {
 public:
  explicit PinnedMemory(Device& device);
  ~PinnedMemory() override;
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  /// Pins memory that is there, which must outlive this; false where the driver cannot.
  bool pin(std::span<std::byte> memory);

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* address, std::size_t bytes, std::size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }
  void release(void* memory, void* address) noexcept;

  void* context_;  // cl_context
  void* queue_;    // cl_command_queue, of maps alone
  std::mutex mutex_;
  std::map<void*, void*> mapped_;  // cl_mem by address; guarded by mutex_
};

}  // namespace dovetail::opencl
