// Maps parts on CPU devices; copies them through a queue each way on others.
#include "device/opencl/hosted_buffer_state.hpp"

#include "device/opencl/check.hpp"
#include "support/log.hpp"

namespace dovetail::opencl {

using timeline::Category;

HostedBuffer::State::~State() {
  for (Part& part : parts) {
    if (part.is_given_back) continue;
    const cl_event event = part.arrived.get();
    clWaitForEvents(1, &event);
    if (part.mapped)
      clEnqueueUnmapMemObject(queue(), memory_of(buffer.memory_), part.mapped, 0, nullptr, nullptr);
  }
  for (const cl_command_queue copies :
       {device.handles_->to_host.queue, device.handles_->to_device.queue}) {
    if (copies) clFinish(copies);
  }
  if (way == Way::map) clFinish(queue());  // its memory may go
}

/// Copies fly faster from and to memory that the driver has pinned. Where it cannot pin what was
/// given they take that as it is.
void HostedBuffer::State::pin() {
  if (is_prepared) return;
  is_prepared = true;
  pinned.emplace(device);
  if (host.empty()) {
    host = {static_cast<std::byte*>(pinned->allocate(buffer.bytes())), buffer.bytes()};
  } else {
    pinned->pin(host);
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

void HostedBuffer::State::unmap(Part& part, std::int32_t bucket) {
  auto& profile = device.handles_->profile;
  check(clEnqueueUnmapMemObject(
            queue(), memory_of(buffer.memory_), part.mapped, 0, nullptr,
            profile ? profile->next(Category::copy, "unmap", part.bytes, bucket) : nullptr),
        "clEnqueueUnmapMemObject");
}

void HostedBuffer::State::read(Part& part) {
  pin();
  cl_event produced = nullptr, arrived = nullptr;
  check(clEnqueueMarkerWithWaitList(queue(), 0, nullptr, &produced), "clEnqueueMarkerWithWaitList");
  const Event owned(produced);
  check(clFlush(queue()), "clFlush");
  auto& copies = device.handles_->copies_to_host();
  check(clEnqueueReadBuffer(copies.queue, memory_of(buffer.memory_), CL_FALSE, part.offset,
                            part.bytes, host.data() + part.offset, 1, &produced, &arrived),
        "clEnqueueReadBuffer");
  part.arrived.reset(arrived);
  if (copies.profile)
    copies.profile->add(arrived, Category::copy, "read", part.bytes, next_bucket());
  check(clFlush(copies.queue), "clFlush");
}

/// Needs to wait for nothing: what wrote the part on the device has ended, since it has arrived.
void HostedBuffer::State::write(Part& part, std::int32_t bucket) {
  auto& copies = device.handles_->copies_to_device();
  cl_event returned = nullptr;
  check(clEnqueueWriteBuffer(copies.queue, memory_of(buffer.memory_), CL_FALSE, part.offset,
                             part.bytes, host.data() + part.offset, 0, nullptr, &returned),
        "clEnqueueWriteBuffer");
  part.returned.reset(returned);
  newest_return = returned;
  if (copies.profile) copies.profile->add(returned, Category::copy, "write", part.bytes, bucket);
  check(clFlush(copies.queue), "clFlush");
}

HostedBuffer::State::Part& HostedBuffer::State::open_part(std::size_t number) {
  Part& part = parts.at(number);
  if (part.is_given_back) throw Error("a part of a buffer is given back twice");
  return part;
}

void HostedBuffer::State::close(Part& part) {
  part.is_given_back = true;
  if (++given_back < parts.size()) return;
  // Copies to the device are done in order, so the newest stands for all.
  if (newest_return) {
    check(clEnqueueBarrierWithWaitList(queue(), 1, &newest_return, nullptr),
          "clEnqueueBarrierWithWaitList");
  }
  over = std::move(parts);
  parts.clear();
  newest_return = nullptr;
  given_back = 0;
}

std::vector<HostedBuffer::Trip> HostedBuffer::State::take_trips() {
  std::vector<Trip> trips;
  const auto time = [](const Event& event, cl_profiling_info what) {
    const cl_event handle = event.get();
    check(clWaitForEvents(1, &handle), "clWaitForEvents");
    return time_of(handle, what);
  };
  for (const Part& part : over) {
    if (part.mapped) continue;
    const auto left = time(part.arrived, CL_PROFILING_COMMAND_START);
    const auto arrived = time(part.arrived, CL_PROFILING_COMMAND_END);
    const auto back = part.returned ? time(part.returned, CL_PROFILING_COMMAND_END) : arrived;
    if (!left || !arrived || !back) continue;  // the driver has not noted them
    Trip& trip = trips.emplace_back(Trip{.left_ns = *left, .arrived_ns = *arrived});
    if (part.returned) trip.back_ns = *back;
  }
  over.clear();
  return trips;
}

}  // namespace dovetail::opencl
