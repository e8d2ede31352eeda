// Memory that the ranks of one host see together, through MPI's shared windows.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "comm/communicator.hpp"

namespace dovetail {

/// One segment a rank, zeroed, aligned to 4096 bytes; every rank may read and write all of them.
/// MPI orders nothing here: whoever writes tells others through std::atomic_ref in the window.
class SharedWindow {
 public:
  /// Collective over `host_ranks`, which must be able to share memory. Throws Error where they
  /// cannot or there is not enough (on Linux it lies in /dev/shm).
  SharedWindow(const Communicator& host_ranks, std::size_t bytes);
  /// Collective; without effect while an exception unwinds, because the others may not come.
  ~SharedWindow();
  SharedWindow(const SharedWindow&) = delete;
  SharedWindow& operator=(const SharedWindow&) = delete;

  std::span<std::byte> segment(int rank) const;

 private:
  struct Window;
  std::unique_ptr<Window> window_;
  std::size_t bytes_ = 0;
};

}  // namespace dovetail
