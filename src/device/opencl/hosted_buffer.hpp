// Device memory that has a place in the host's address space, and goes there and back in parts
// while kernels run.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "device/opencl/device.hpp"

namespace dovetail::opencl {

/// On CPU devices both are the same memory, and nothing is copied (CL_MEM_USE_HOST_PTR). Elsewhere
/// parts are copied to the host and back by a queue of their own, which the host's memory is pinned
/// for where the driver can. A round: hand over parts, each when all kernels that write it are
/// enqueued; await them; read and write their places in the host; give them back.
class HostedBuffer {
 public:
  enum class Way { map, copy };

  HostedBuffer();
  /// Zeroed. `host`: memory to use, aligned to 4096 bytes, which must outlive this; by default its
  /// own, allocated when a part is first handed over where it is copied.
  HostedBuffer(Device& device, std::size_t bytes, std::span<std::byte> host = {});
  /// The same by one of the two ways, whatever the device.
  HostedBuffer(Device& device, std::size_t bytes, std::span<std::byte> host, Way way);
  ~HostedBuffer();
  HostedBuffer(HostedBuffer&&) noexcept;
  HostedBuffer& operator=(HostedBuffer&&) noexcept;

  const Buffer& buffer() const;
  /// Whether the host's side keeps its values when a part is given back.
  bool is_copied() const;

  /// Enqueues the way of bytes [offset, offset + bytes) to the host, behind all that is enqueued
  /// now, and returns the part's number: 0 for the first since all parts were given back. Kernels
  /// that are enqueued later may run meanwhile; until the part is given back none may use it.
  std::size_t hand_over(std::size_t offset, std::size_t bytes);
  /// Whether the part has arrived in the host. Throws Error when the device failed.
  bool arrived(std::size_t part) const;
  void await(std::size_t part) const;
  /// The host's side, of the whole buffer. Only what has arrived may be touched.
  std::span<float> host() const;
  /// Enqueues the part's way back: kernels enqueued later see what the host wrote.
  void give_back(std::size_t part);
  /// Ends a part that the host only read: nothing goes back.
  void let_go(std::size_t part);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dovetail::opencl
