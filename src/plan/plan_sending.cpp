// Samples of several steps at a time, copied to the device in one go and before they are asked for.
#include <algorithm>
#include <numeric>

#include "plan/plan.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

/// Of images that share a copy. Each copy costs the host some microseconds, and so does each time
/// that kernels have to wait for one.
constexpr std::size_t sending_bytes = std::size_t{8} << 20;
/// More of them than this have no more to gain.
constexpr std::size_t most_steps = 400;
/// Of the places together. One is read, one is written, and the host is ahead of the device.
constexpr std::size_t places_bytes = std::size_t{32} << 20;
constexpr std::size_t least_places = 3, most_places = 64;

/// Whether it has been reached; then what it is of may be relied on.
bool has_passed(const opencl::Mark& mark) {
  if (!mark.reached()) return false;
  mark.await();  // asking alone makes nothing visible to other commands (OpenCL 1.2, 5.9)
  return true;
}

}  // namespace

std::size_t Plan::steps_together(std::size_t samples) const {
  if (!input_queue_ || samples == 0) return 0;
  const std::size_t bytes = samples * extent(model_.input().size());
  return std::clamp<std::size_t>(sending_bytes / bytes, 1, most_steps);
}

void Plan::make_room_to_send(std::size_t samples) {
  if (!input_queue_) throw Error("samples are sent ahead where nothing is copied beside kernels");
  sent_.clear();
  reading_.reset();
  const std::size_t bytes = samples * extent(model_.input().size());
  sent_.resize(std::clamp(places_bytes / bytes, least_places, most_places));
  for (Sent& place : sent_) {
    place.images = device_.allocate(bytes);
    place.labels = device_.allocate(samples * sizeof(std::int32_t));
  }
  std::vector<std::int32_t> numbers(samples);
  std::iota(numbers.begin(), numbers.end(), 0);
  sent_numbers_ = device_.upload(std::span<const std::int32_t>(numbers));
}

Plan::Sending Plan::send(std::span<const std::uint8_t> images,
                         std::span<const std::int32_t> labels) {
  if (sent_.empty() || labels.empty() || images.size() > sent_.front().images.bytes() ||
      images.size() != labels.size() * extent(model_.input().size())) {
    throw Error(fmt::format("{} samples are sent where there is no room for them", labels.size()));
  }
  Sent& place = sent_[sendings_ % sent_.size()];
  const opencl::Mark after = has_passed(place.read) ? opencl::Mark() : place.read;
  place.number = sendings_;
  place.count = labels.size();
  place.copied = input_queue_->write(place.images, images.data(), images.size(), after);
  try {
    place.copied = input_queue_->write(place.labels, labels.data(), labels.size_bytes());
    input_queue_->flush();
  } catch (...) {
    place.copied.await();  // their memory may go now
    throw;
  }
  return {.number = sendings_++, .copied = place.copied};
}

// Most copies have long been done: then no kernel waits.
const Plan::Sent& Plan::begin_reading(std::uint64_t number) {
  Sent* place = sent_.empty() ? nullptr : &sent_[number % sent_.size()];
  if (!place || place->number != number)
    throw Error(fmt::format("sending {} is not on the device", number));
  if (reading_ && *reading_ != number) sent_[*reading_ % sent_.size()].read = device_.mark();
  reading_ = number;
  if (place->copied && !has_passed(place->copied)) input_queue_->hold_kernels(place->copied);
  place->copied = {};
  return *place;
}

}  // namespace dovetail
