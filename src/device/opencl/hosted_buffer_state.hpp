// What a HostedBuffer holds of OpenCL. Only this folder's .cpp files include it.
#pragma once

#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "device/opencl/handles.hpp"
#include "device/opencl/hosted_buffer.hpp"
#include "device/opencl/pinned_memory.hpp"

namespace dovetail::opencl {

struct HostedBuffer::State {
  struct ReleaseEvent {
    void operator()(cl_event event) const { clReleaseEvent(event); }
  };
  using Event = std::unique_ptr<std::remove_pointer_t<cl_event>, ReleaseEvent>;
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  struct Part {
    std::size_t offset = 0, bytes = 0;
    void* mapped = nullptr;  // on CPU devices
    Event arrived{};
    Event returned{};  // where it is copied back
    bool is_given_back = false;
  };

  Device& device;
  Way way;
  Buffer buffer{};
  std::unique_ptr<std::byte, Free> own{};
  std::span<std::byte> host{};
  std::optional<PinnedMemory> pinned{};  // the host's memory, where that is copied
  bool is_prepared = false;              // for copies
  std::vector<Part> parts{};
  std::size_t given_back = 0;
  cl_event newest_return = nullptr;  // of the round; a part's
  std::vector<Part> over{};          // of the newest round that is over, for its trips

  State(Device& d, Way w) : device(d), way(w) {}
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  cl_command_queue queue() const { return device.handles_->queue; }
  void pin();
  void map(Part& part);
  void read(Part& part);
  void unmap(Part& part, std::int32_t bucket);
  void write(Part& part, std::int32_t bucket);
  Part& open_part(std::size_t number);
  /// Of a part's round; the last one's end is the round's.
  void close(Part& part);
  std::int32_t next_bucket() const { return static_cast<std::int32_t>(parts.size()); }
  std::vector<Trip> take_trips();
  static cl_mem memory_of(const std::shared_ptr<void>& handle) {
    return static_cast<cl_mem>(handle.get());
  }
};

}  // namespace dovetail::opencl
