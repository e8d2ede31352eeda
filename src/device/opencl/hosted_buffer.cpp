// Maps on CPU devices, copies through a second queue on others.
#include "device/opencl/hosted_buffer.hpp"

#include <cstdlib>

#include "device/opencl/check.hpp"
#include "device/opencl/handles.hpp"
#include "support/log.hpp"

namespace dovetail::opencl {

using timeline::Category;

namespace {

constexpr std::size_t page = 4096;

struct ReleaseEvent {
  void operator()(cl_event event) const { clReleaseEvent(event); }
};
using Event = std::unique_ptr<std::remove_pointer_t<cl_event>, ReleaseEvent>;

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};

cl_mem memory_of(const std::shared_ptr<void>& handle) {
  return static_cast<cl_mem>(handle.get());
}

}  // namespace

struct HostedBuffer::State {
  struct Part {
    std::size_t offset = 0, bytes = 0;
    void* mapped = nullptr;  // on CPU devices
    Event arrived{};
    bool is_given_back = false;
  };

  Device& device;
  Way way;
  Buffer buffer{};
  std::unique_ptr<std::byte, Free> own{};
  std::span<std::byte> host{};
  cl_mem pinned = nullptr;   // what the host's memory is known to the driver as
  bool is_prepared = false;  // for copies
  std::vector<Part> parts{};
  std::size_t given_back = 0;

  State(Device& d, Way w) : device(d), way(w) {}
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  void pin();
  cl_command_queue queue() const { return device.handles_->queue; }
  void map(Part& part);
  void read(Part& part);
  void unmap(Part& part, std::int32_t bucket);
  void write(Part& part, std::int32_t bucket);
  Part& open_part(std::size_t number);
  void close(Part& part);
  std::int32_t next_bucket() const { return static_cast<std::int32_t>(parts.size()); }
};

HostedBuffer::State::~State() {
  for (Part& part : parts) {
    if (part.is_given_back) continue;
    const cl_event event = part.arrived.get();
    clWaitForEvents(1, &event);
    if (part.mapped)
      clEnqueueUnmapMemObject(queue(), memory_of(buffer.memory_), part.mapped, 0, nullptr, nullptr);
  }
  if (device.handles_->transfers) clFinish(device.handles_->transfers);
  if (way == Way::map) clFinish(queue());  // its memory may go
  if (pinned) {
    clEnqueueUnmapMemObject(queue(), pinned, host.data(), 0, nullptr, nullptr);
    clFinish(queue());
    clReleaseMemObject(pinned);
  }
}

/// Copies fly faster from and to memory that the driver has pinned. Where it cannot pin what was
/// given they take that as it is.
void HostedBuffer::State::pin() {
  if (is_prepared) return;
  is_prepared = true;
  const bool given = !host.empty();
  const cl_mem_flags source = given ? CL_MEM_USE_HOST_PTR : CL_MEM_ALLOC_HOST_PTR;
  cl_int status = CL_SUCCESS;
  cl_mem memory = clCreateBuffer(device.handles_->context, CL_MEM_READ_WRITE | source,
                                 buffer.bytes(), given ? host.data() : nullptr, &status);
  void* address = nullptr;
  if (status == CL_SUCCESS) {
    address = clEnqueueMapBuffer(queue(), memory, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0,
                                 buffer.bytes(), 0, nullptr, nullptr, &status);
    if (status != CL_SUCCESS || (given && address != host.data())) {
      if (status == CL_SUCCESS)
        clEnqueueUnmapMemObject(queue(), memory, address, 0, nullptr, nullptr);
      clReleaseMemObject(memory);
      if (!given) check(status, "clEnqueueMapBuffer");
      return;
    }
    pinned = memory;
    host = {static_cast<std::byte*>(address), buffer.bytes()};
  } else if (!given) {
    check(status, "clCreateBuffer");
  }
}

void HostedBuffer::State::map(Part& part) {
  cl_int status = CL_SUCCESS;
  cl_event event = nullptr;
  part.mapped =
      clEnqueueMapBuffer(queue(), memory_of(buffer.memory_), CL_FALSE, CL_MAP_READ | CL_MAP_WRITE,
                         part.offset, part.bytes, 0, nullptr, &event, &status);
  check(status, "clEnqueueMapBuffer");
  part.arrived.reset(event);
  if (auto& profile = device.handles_->profile)
    profile->add(event, Category::copy, "map", part.bytes, next_bucket());
}

void HostedBuffer::State::read(Part& part) {
  pin();
  cl_event produced = nullptr, arrived = nullptr;
  check(clEnqueueMarkerWithWaitList(queue(), 0, nullptr, &produced), "clEnqueueMarkerWithWaitList");
  const Event owned(produced);
  check(clFlush(queue()), "clFlush");
  const cl_command_queue transfers = device.handles_->transfer_queue();
  check(clEnqueueReadBuffer(transfers, memory_of(buffer.memory_), CL_FALSE, part.offset, part.bytes,
                            host.data() + part.offset, 1, &produced, &arrived),
        "clEnqueueReadBuffer");
  part.arrived.reset(arrived);
  if (auto& profile = device.handles_->transfer_profile)
    profile->add(arrived, Category::copy, "read", part.bytes, next_bucket());
  check(clFlush(transfers), "clFlush");
}

void HostedBuffer::State::write(Part& part, std::int32_t bucket) {
  const cl_command_queue transfers = device.handles_->transfer_queue();
  cl_event written = nullptr;
  check(clEnqueueWriteBuffer(transfers, memory_of(buffer.memory_), CL_FALSE, part.offset,
                             part.bytes, host.data() + part.offset, 0, nullptr, &written),
        "clEnqueueWriteBuffer");
  const Event owned(written);
  if (auto& profile = device.handles_->transfer_profile)
    profile->add(written, Category::copy, "write", part.bytes, bucket);
  check(clFlush(transfers), "clFlush");
  check(clEnqueueBarrierWithWaitList(queue(), 1, &written, nullptr),
        "clEnqueueBarrierWithWaitList");
}

void HostedBuffer::State::unmap(Part& part, std::int32_t bucket) {
  auto& profile = device.handles_->profile;
  check(clEnqueueUnmapMemObject(
            queue(), memory_of(buffer.memory_), part.mapped, 0, nullptr,
            profile ? profile->next(Category::copy, "unmap", part.bytes, bucket) : nullptr),
        "clEnqueueUnmapMemObject");
}

HostedBuffer::State::Part& HostedBuffer::State::open_part(std::size_t number) {
  Part& part = parts.at(number);
  if (part.is_given_back) throw Error("a part of a buffer is given back twice");
  return part;
}

void HostedBuffer::State::close(Part& part) {
  part.is_given_back = true;
  if (++given_back < parts.size()) return;
  parts.clear();
  given_back = 0;
}

HostedBuffer::HostedBuffer(Device& device, std::size_t bytes, std::span<std::byte> host)
    : HostedBuffer(device, bytes, host, device.is_cpu() ? Way::map : Way::copy) {}

HostedBuffer::HostedBuffer(Device& device, std::size_t bytes, std::span<std::byte> host, Way way)
    : state_(std::make_unique<State>(device, way)) {
  if (!host.empty() && host.size() < bytes)
    throw Error(fmt::format("{} bytes of host memory for a buffer of {}", host.size(), bytes));
  state_->host = host;
  if (way == Way::copy) {
    state_->buffer = device.allocate_zeroed(bytes);
    return;
  }
  if (host.empty()) {
    const std::size_t whole_pages = (bytes + page - 1) / page * page;
    state_->own.reset(static_cast<std::byte*>(std::aligned_alloc(page, whole_pages)));
    if (!state_->own) throw Error(fmt::format("no host memory for {} bytes", bytes));
    state_->host = {state_->own.get(), bytes};
  }
  cl_int status = CL_SUCCESS;
  cl_mem memory = clCreateBuffer(device.handles_->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR,
                                 bytes, state_->host.data(), &status);
  check(status, "clCreateBuffer");
  state_->buffer.memory_ = {memory,
                            [](void* handle) { clReleaseMemObject(static_cast<cl_mem>(handle)); }};
  state_->buffer.bytes_ = bytes;
  device.fill_zero(state_->buffer);
}

HostedBuffer::HostedBuffer() = default;
HostedBuffer::~HostedBuffer() = default;
HostedBuffer::HostedBuffer(HostedBuffer&&) noexcept = default;
HostedBuffer& HostedBuffer::operator=(HostedBuffer&&) noexcept = default;

const Buffer& HostedBuffer::buffer() const {
  return state_->buffer;
}

bool HostedBuffer::is_copied() const {
  return state_->way == Way::copy;
}

std::span<float> HostedBuffer::host() const {
  return {reinterpret_cast<float*>(state_->host.data()), state_->buffer.bytes() / sizeof(float)};
}

std::size_t HostedBuffer::hand_over(std::size_t offset, std::size_t bytes) {
  if (offset > state_->buffer.bytes() || bytes > state_->buffer.bytes() - offset || bytes == 0) {
    throw Error(fmt::format("OpenCL: a part of {} bytes at {} leaves a buffer of {} bytes", bytes,
                            offset, state_->buffer.bytes()));
  }
  State::Part part{.offset = offset, .bytes = bytes};
  if (state_->way == Way::map) {
    state_->map(part);
  } else {
    state_->read(part);
  }
  state_->parts.push_back(std::move(part));
  return state_->parts.size() - 1;
}

bool HostedBuffer::arrived(std::size_t part) const {
  cl_int status = CL_QUEUED;
  check(clGetEventInfo(state_->parts.at(part).arrived.get(), CL_EVENT_COMMAND_EXECUTION_STATUS,
                       sizeof status, &status, nullptr),
        "clGetEventInfo");
  if (status < 0) check(status, "computing or copying gradients");
  return status == CL_COMPLETE;
}

void HostedBuffer::await(std::size_t part) const {
  const cl_event event = state_->parts.at(part).arrived.get();
  check(clWaitForEvents(1, &event), "clWaitForEvents");
}

void HostedBuffer::give_back(std::size_t number) {
  State::Part& part = state_->open_part(number);
  if (part.mapped) {
    state_->unmap(part, static_cast<std::int32_t>(number));
  } else {
    state_->write(part, static_cast<std::int32_t>(number));
  }
  state_->close(part);
}

void HostedBuffer::let_go(std::size_t number) {
  State::Part& part = state_->open_part(number);
  if (part.mapped) state_->unmap(part, static_cast<std::int32_t>(number));
  state_->close(part);
}

}  // namespace dovetail::opencl
