// Uploads images once, and an order once an epoch, which was read during the epoch before.
#include "plan/held_set.hpp"

#include <algorithm>
#include <string>
#include <system_error>

#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail {

HeldSet::HeldSet(Plan& plan, ShardReader& reader, const std::function<void()>& piece_done)
    : plan_(plan), reader_(reader), samples_(reader.samples()) {
  constexpr std::size_t piece = 4096;
  plan.hold_images(samples_);
  Batch batch;
  for (std::size_t first = 0; first < samples_; first += batch.size()) {
    reader.read({.begin = first, .count = std::min(piece, samples_ - first)}, batch);
    if (piece_done) piece_done();
    plan.write_images(first, batch.images);
  }
  for (Order& order : orders_) {
    order.samples = Batch::in(plan.sample_memory());
    if (!reader.in_memory()) continue;
    // Now: while a driver pins memory, whoever enqueues may have to wait.
    order.samples.labels.reserve(samples_);
    order.samples.numbers.reserve(samples_);
  }
}

HeldSet::~HeldSet() {
  // An order that no step has asked for may have failed.
  if (reading_.valid()) reading_.wait();
  for (const Order& order : orders_) {
    try {
      order.copied.await();
    } catch (const std::exception& failure) {
      log::error(failure.what());
    }
  }
}

void HeldSet::find(const Batch& batch, StepSamples& samples) {
  const Range& range = batch.range;
  if (!range.picks.empty() || !reader_.in_memory()) {
    samples.numbers = batch.numbers;
    return;
  }
  if (epoch_ != range.epoch) hold(range.epoch);
  samples.place = range.begin;
}

void HeldSet::hold(std::int64_t epoch) {
  if (reading_.valid()) {
    reading_.wait();
    // What kept another epoch's order from being read is no failure of this one.
    std::future<void> done = std::move(reading_);
    if (next_ == epoch) done.get();
  }
  Order& order = orders_[1 - in_use_];
  if (order.epoch != epoch) read(epoch);
  epoch_ = none;
  order.copied = plan_.hold_order(order.samples.numbers, order.samples.labels);
  epoch_ = epoch;
  in_use_ = 1 - in_use_;
  if (epoch == Range::in_order) return;
  next_ = epoch + 1;
  try {
    reading_ = std::async(std::launch::async, [this] { read(next_); });
  } catch (const std::system_error&) {
    next_ = none;  // without a thread it is read when its first step asks for it
  }
}

void HeldSet::read(std::int64_t epoch) {
  Order& order = orders_[1 - in_use_];
  order.epoch = none;
  try {
    order.copied.await();
    reader_.read({.epoch = epoch, .count = samples_, .images = false}, order.samples);
  } catch (const std::exception& failure) {
    const std::string of =
        epoch == Range::in_order ? "the set" : fmt::format("epoch {}", epoch + 1);
    throw Error(fmt::format("the order of {}: {}", of, failure.what()));
  }
  order.epoch = epoch;
}

}  // namespace dovetail
