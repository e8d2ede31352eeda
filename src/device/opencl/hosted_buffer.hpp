// Device memory that has a place in the host's address space, and goes there and back in parts
// while kernels run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "device/opencl/device.hpp"

namespace dovetail::opencl {

/// On CPU devices both are the same memory, and nothing is copied (CL_MEM_USE_HOST_PTR). Elsewhere
/// parts are copied to the host and back by two queues of their own, which the host's memory is
/// pinned for where the driver can: a part returns while kernels run and other parts are on their
/// way. A round: hand over parts, each when all kernels that write it are enqueued; await them;
/// read and write their places in the host; give them back or let them go.
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
  /// Begins the part's way back. Kernels that are enqueued after the round, when no part is left,
  /// wait on the device for all of them and see what the host wrote.
  void give_back(std::size_t part);
  /// Whether a part that was given back is there; within the round.
  bool returned(std::size_t part) const;
  /// Ends a part that the host only read: nothing goes back.
  void let_go(std::size_t part);

  /// When a part was on its way, by the device's clock.
  struct Trip {
    std::int64_t left_ns = 0, arrived_ns = 0;  // to the host
    std::int64_t back_ns = 0;                  // 0: it was let go
  };
  /// The parts of the newest round that is over, once; waits for their copies, which is no wait
  /// when a later round's part has arrived. Empty where nothing is copied.
  std::vector<Trip> take_trips();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dovetail::opencl
