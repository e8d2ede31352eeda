// Uploads images once, and an order once an epoch.
#include "plan/held_set.hpp"

#include <algorithm>

#include "support/log.hpp"

namespace dovetail {

HeldSet::HeldSet(Plan& plan, ShardReader& reader, const std::function<void()>& piece_done)
    : plan_(plan), reader_(reader) {
  for (Order& order : orders_) order.samples = Batch::in(plan.sample_memory());
  constexpr std::size_t piece = 4096;
  plan.hold_images(reader.samples());
  Batch batch;
  for (std::size_t first = 0; first < reader.samples(); first += batch.size()) {
    reader.read({.begin = first, .count = std::min(piece, reader.samples() - first)}, batch);
    if (piece_done) piece_done();
    plan.write_images(first, batch.images);
  }
}

HeldSet::~HeldSet() {
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
  if (orders_[newest_].epoch != range.epoch) {
    newest_ = 1 - newest_;
    Order& order = orders_[newest_];
    order.copied.await();
    reader_.read({.epoch = range.epoch, .count = reader_.samples(), .images = false},
                 order.samples);
    order.copied = plan_.hold_order(order.samples.numbers, order.samples.labels);
    order.epoch = range.epoch;
  }
  samples.place = range.begin;
}

}  // namespace dovetail
