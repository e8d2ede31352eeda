// Device memory with a place in the host's address space.
#include "device/opencl/hosted_buffer.hpp"

#include <cstdlib>

#include "device/opencl/check.hpp"
#include "device/opencl/hosted_buffer_state.hpp"
#include "support/text.hpp"

namespace dovetail::opencl {
namespace {

constexpr std::size_t page = 4096;

bool is_complete(cl_event event) {
  cl_int status = CL_QUEUED;
  check(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, nullptr),
        "clGetEventInfo");
  if (status < 0) check(status, "computing or copying gradients");
  return status == CL_COMPLETE;
}

}  // namespace

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
    if (!state_->own) throw OutOfMemory(fmt::format("no host memory for {} bytes", bytes));
    state_->host = {state_->own.get(), bytes};
  }
  cl_int status = CL_SUCCESS;
  cl_mem memory = clCreateBuffer(device.handles_->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR,
                                 bytes, state_->host.data(), &status);
  check_allocation(status, "clCreateBuffer");
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
  return is_complete(state_->parts.at(part).arrived.get());
}

bool HostedBuffer::returned(std::size_t number) const {
  const State::Part& part = state_->parts.at(number);
  return part.is_given_back && (!part.returned || is_complete(part.returned.get()));
}

std::vector<HostedBuffer::Trip> HostedBuffer::take_trips() {
  return state_->take_trips();
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
