// Vectors whose memory comes from whoever knows what it is for, such as copies to a device.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace dovetail {

/// Where memory comes from; null: the heap.
using HostMemory = std::shared_ptr<std::pmr::memory_resource>;

/// Keeps the memory's source alive. Other than std::pmr's, it goes along when a vector is moved or
/// swapped, so no element is ever copied for that; a copy has the memory of what it is assigned to.
/// Elements that `resize` adds have no value yet: they are there to be written.
template <typename T>
class HostAllocator {
 public:
  using value_type = T;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;

  HostAllocator() = default;
  HostAllocator(HostMemory memory) : memory_(std::move(memory)) {}
  template <typename U>
  HostAllocator(const HostAllocator<U>& other) : memory_(other.memory()) {}

  T* allocate(std::size_t count) {
    if (!memory_) return std::allocator<T>().allocate(count);
    return static_cast<T*>(memory_->allocate(count * sizeof(T), alignof(T)));
  }
  void deallocate(T* values, std::size_t count) {
    if (!memory_) return std::allocator<T>().deallocate(values, count);
    memory_->deallocate(values, count * sizeof(T), alignof(T));
  }
  template <typename U>
  void construct(U* value) noexcept(std::is_nothrow_default_constructible_v<U>) {
    ::new (static_cast<void*>(value)) U;
  }
  const HostMemory& memory() const { return memory_; }
  template <typename U>
  bool operator==(const HostAllocator<U>& other) const {
    return memory_ == other.memory();
  }

 private:
  HostMemory memory_;
};

template <typename T>
using HostVector = std::vector<T, HostAllocator<T>>;

template <typename T>
bool operator==(const HostVector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace dovetail
