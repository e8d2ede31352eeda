// What steps read from the host, and its way to the device: in turn with the kernels, or beside
// them.
#include <algorithm>
#include <utility>

#include "plan/plan.hpp"
#include "plan/step_records.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

/// Of the slots together. Two would do: one is read while the other is written. With more, steps
/// whose times vary need not wait for each other's copies.
constexpr std::size_t slots_bytes = std::size_t{16} << 20;
constexpr std::size_t least_slots = 3, most_slots = plan::StepRecords::most;
/// Of images. A smaller copy costs the kernels less than waiting for it in another queue does: on
/// an H200 30 to 70 us of a short step, where 100 KB take 6.
constexpr std::size_t least_overlapped_bytes = std::size_t{512} << 10;

}  // namespace

std::vector<Plan::Inputs> Plan::make_inputs() {
  std::vector<Inputs> made;
  int samples = room();  // the first one's; the others are there for passes of different sizes
  for (int pass = 0; pass < options_.passes; ++pass) {
    Inputs inputs;
    inputs.room = extent(std::exchange(samples, options_.batch));
    inputs.images = device_.allocate(inputs.room * extent(model_.input().size()));
    inputs.labels = device_.allocate(inputs.room * sizeof(std::int32_t));
    made.push_back(std::move(inputs));
  }
  return made;
}

void Plan::make_input_slots() {
  const std::size_t bytes = extent(room()) * extent(model_.input().size());
  const std::size_t count = std::clamp(slots_bytes / bytes, least_slots, most_slots);
  while (input_slots_.size() < count)
    input_slots_.push_back({.passes = make_inputs(), .copied = {}, .read = {}});
  next_slot_ = 0;
  device_.finish();  // fills, which copies beside the kernels would not wait for
}

Plan::InputSlot* Plan::next_slot(const StepSamples& samples) {
  const std::size_t least = options_.upload_way ? 1 : least_overlapped_bytes;
  if (!input_queue_ || samples.images.size() < least) return nullptr;
  if (input_slots_.empty()) make_input_slots();
  InputSlot* slot = &input_slots_[next_slot_];
  next_slot_ = (next_slot_ + 1) % input_slots_.size();
  slot->copied = {};
  return slot;
}

void Plan::write_input(InputSlot* slot, const opencl::Buffer& buffer, const void* source,
                       std::size_t bytes, bool stays) {
  if (slot) {
    slot->copied = input_queue_->write(buffer, source, bytes, slot->read);
    if (!stays) slot->copied.await();
  } else if (stays) {
    device_.write_later(buffer, source, bytes);
  } else {
    device_.write(buffer, source, bytes);
  }
}

void Plan::begin_reading(InputSlot* slot) {
  if (slot) input_queue_->hold_kernels(slot->copied);
}

// A step that is handed over, or whose samples' slot is waited for, sets out at once. Others do
// with what comes next: each flush costs the host some microseconds.
void Plan::end_step(InputSlot* slot, bool hand_over) {
  if (slot) slot->read = device_.mark();
  if (slot || hand_over) device_.flush();
}

// For all passes and slots at once, so that later steps make nothing.
void Plan::make_weights() {
  if (!weigh_rows_) weigh_rows_.emplace(device_, variant_, edges_.back().layout.image_stride());
  const auto make = [&](std::vector<Inputs>& all) {
    for (Inputs& inputs : all)
      if (!inputs.row_weights) inputs.row_weights = device_.allocate(inputs.room * sizeof(float));
  };
  make(inputs_);
  for (InputSlot& slot : input_slots_) make(slot.passes);
}

void Plan::hold_images(std::size_t samples) {
  held_images_ = device_.allocate(samples * extent(model_.input().size()));
  held_samples_ = samples;
  held_order_ = {};
  make_numbers();
}

void Plan::drop_images() {
  held_images_ = {};
  held_samples_ = 0;
  held_order_ = {};
  for (Inputs& inputs : inputs_) inputs.numbers = {};
}

void Plan::make_numbers() {
  for (Inputs& inputs : inputs_)
    inputs.numbers = device_.allocate(inputs.room * sizeof(std::int32_t));
}

void Plan::write_images(std::size_t first, std::span<const std::uint8_t> images) {
  device_.write(held_images_, images.data(), images.size(), first * extent(model_.input().size()));
}

opencl::Mark Plan::hold_order(std::span<const std::int32_t> numbers,
                              std::span<const std::int32_t> labels) {
  if (numbers.empty() || numbers.size() != labels.size()) {
    throw Error(
        fmt::format("an order of {} samples with {} labels", numbers.size(), labels.size()));
  }
  expect_held(numbers);
  device_.reserve(held_order_.samples, numbers.size_bytes());
  device_.reserve(held_order_.labels, labels.size_bytes());
  device_.write_later(held_order_.samples, numbers.data(), numbers.size_bytes());
  device_.write_later(held_order_.labels, labels.data(), labels.size_bytes());
  held_order_.count = numbers.size();
  opencl::Mark copied = device_.mark();
  device_.flush();
  return copied;
}

// Takes an epoch's first step the longer, the more samples there are: one comparison each, in
// vectors. As unsigned numbers, negative ones are beyond any sample.
void Plan::expect_held(std::span<const std::int32_t> numbers) const {
  std::uint32_t furthest = 0;
  for (const std::int32_t number : numbers)
    furthest = std::max(furthest, static_cast<std::uint32_t>(number));
  if (furthest < held_samples_) return;
  const auto [least, most] = std::ranges::minmax(numbers);
  throw Error(fmt::format("samples {} to {} of the {} on the device were asked for", least, most,
                          held_samples_));
}

void Plan::take_place(Inputs& inputs, const StepSamples& samples) {
  const Sent* sent = samples.sending ? &begin_reading(*samples.sending) : nullptr;
  const std::size_t first = *samples.place, wanted = samples.labels.size(),
                    count = sent ? sent->count : held_order_.count;
  if (first > count || wanted > count - first) {
    throw Error(fmt::format("{} samples from place {} of {} were asked for", wanted, first, count));
  }
  const auto begin = static_cast<std::uint32_t>(first);
  if (sent) {
    inputs.image_source = {sent->images, sent_numbers_, begin};
    inputs.label_source = {sent->labels, begin};
  } else {
    inputs.image_source = {held_images_, held_order_.samples, begin};
    inputs.label_source = {held_order_.labels, begin};
  }
}

void Plan::upload(Inputs& inputs, const StepSamples& samples, InputSlot* slot) {
  const std::span<const std::int32_t> labels = samples.labels, numbers = samples.numbers;
  if (labels.size() > inputs.room) {
    throw Error(fmt::format("a step of {} samples exceeds the plan's batch of {}", labels.size(),
                            inputs.room));
  }
  if (labels.empty()) return;
  const auto write = [&](const opencl::Buffer& buffer, const void* source, std::size_t bytes) {
    write_input(slot, buffer, source, bytes, samples.stays);
  };
  if (samples.place) {
    take_place(inputs, samples);
  } else {
    if (!numbers.empty()) {
      expect_held(numbers);
      write(inputs.numbers, numbers.data(), numbers.size_bytes());
      inputs.image_source = {held_images_, inputs.numbers};
    } else {
      write(inputs.images, samples.images.data(), labels.size() * extent(model_.input().size()));
      inputs.image_source = {inputs.images};
    }
    write(inputs.labels, labels.data(), labels.size_bytes());
    inputs.label_source = {inputs.labels};
  }
  if (!weighs(samples)) return;
  if (!inputs.row_weights) make_weights();
  inputs.has_weights = !samples.weights.empty();
  if (inputs.has_weights)
    write(inputs.row_weights, samples.weights.data(), samples.weights.size_bytes());
}

}  // namespace dovetail
