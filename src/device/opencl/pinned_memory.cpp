// Allocates, maps and keeps mapped.
#include "device/opencl/pinned_memory.hpp"

#include <algorithm>

#include "device/opencl/check.hpp"
#include "device/opencl/handles.hpp"
#include "support/text.hpp"

namespace dovetail::opencl {
namespace {

constexpr cl_map_flags both_ways = CL_MAP_READ | CL_MAP_WRITE;
constexpr std::size_t least_alignment = 128;  // of what is mapped: a long16 (OpenCL 1.2, 5.4.1)

cl_command_queue queue_of(void* queue) {
  return static_cast<cl_command_queue>(queue);
}

}  // namespace

PinnedMemory::PinnedMemory(Device& device)
    : context_(device.handles_->context), queue_(device.handles_->maps()) {
  check(clRetainContext(static_cast<cl_context>(context_)), "clRetainContext");
  check(clRetainCommandQueue(queue_of(queue_)), "clRetainCommandQueue");
}

PinnedMemory::~PinnedMemory() {
  for (const auto& [address, memory] : mapped_) release(memory, address);
  clReleaseCommandQueue(queue_of(queue_));
  clReleaseContext(static_cast<cl_context>(context_));
}

bool PinnedMemory::pin(std::span<std::byte> memory) {
  cl_int status = CL_SUCCESS;
  cl_mem made =
      clCreateBuffer(static_cast<cl_context>(context_), CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR,
                     memory.size(), memory.data(), &status);
  if (status != CL_SUCCESS) return false;
  void* address = clEnqueueMapBuffer(queue_of(queue_), made, CL_TRUE, both_ways, 0, memory.size(),
                                     0, nullptr, nullptr, &status);
  if (status != CL_SUCCESS) {
    clReleaseMemObject(made);
    return false;
  }
  if (address != memory.data()) {
    release(made, address);
    return false;
  }
  const std::lock_guard lock(mutex_);
  mapped_.emplace(address, made);
  return true;
}

void* PinnedMemory::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (alignment > least_alignment)
    throw Error(fmt::format("pinned memory cannot be aligned to {} bytes", alignment));
  const std::size_t some = std::max<std::size_t>(1, bytes);
  cl_int status = CL_SUCCESS;
  cl_mem made = clCreateBuffer(static_cast<cl_context>(context_),
                               CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, some, nullptr, &status);
  check_allocation(status, "clCreateBuffer");
  void* address = clEnqueueMapBuffer(queue_of(queue_), made, CL_TRUE, both_ways, 0, some, 0,
                                     nullptr, nullptr, &status);
  if (status != CL_SUCCESS) clReleaseMemObject(made);
  check(status, "clEnqueueMapBuffer");
  const std::lock_guard lock(mutex_);
  mapped_.emplace(address, made);
  return address;
}

void PinnedMemory::do_deallocate(void* address, std::size_t, std::size_t) {
  void* memory = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = mapped_.find(address);
    if (found == mapped_.end()) return;
    memory = found->second;
    mapped_.erase(found);
  }
  release(memory, address);
}

void PinnedMemory::release(void* memory, void* address) noexcept {
  clEnqueueUnmapMemObject(queue_of(queue_), static_cast<cl_mem>(memory), address, 0, nullptr,
                          nullptr);
  clFinish(queue_of(queue_));
  clReleaseMemObject(static_cast<cl_mem>(memory));
}

}  // namespace dovetail::opencl
