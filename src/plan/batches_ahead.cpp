// Cuts batches into steps, and sends them.
#include "plan/batches_ahead.hpp"

#include <algorithm>
#include <utility>

#include "support/error.hpp"
#include "support/log.hpp"

namespace dovetail {

BatchesAhead::BatchesAhead(Plan& plan, Read read, Find find)
    : plan_(plan), read_(std::move(read)), find_(std::move(find)) {}

BatchesAhead::~BatchesAhead() {
  for (const UnderWay& each : batches_) {
    try {
      if (each.sent) each.sent->copied.await();
    } catch (const std::exception& failure) {
      log::error(failure.what());
    }
  }
}

bool BatchesAhead::read() {
  if (ended_) return false;
  Batch batch;
  if (!spare_.empty()) {
    batch = std::move(spare_.back());
    spare_.pop_back();
  }
  ended_ = !read_(batch);
  if (ended_) return false;
  const std::size_t each = batch.range.step;
  std::optional<Plan::Sending> sent;
  if (each > 0) sent = plan_.send(batch.images, batch.labels);
  const std::size_t steps = each == 0 ? 1 : (batch.size() + each - 1) / each;
  batches_.push_back({.batch = std::move(batch), .sent = std::move(sent), .to_take = steps});
  return true;
}

void BatchesAhead::read_ahead() {
  if (failure_) return;  // what is behind it must not come in its place
  try {
    read();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

BatchesAhead::UnderWay& BatchesAhead::with_next() {
  const auto found =
      std::ranges::find_if(batches_, [](const UnderWay& each) { return each.to_take > 0; });
  if (found != batches_.end()) return *found;
  if (failure_) std::rethrow_exception(failure_);
  if (!read()) throw Error("a step was asked for behind the last one");
  return batches_.back();
}

BatchesAhead::Step BatchesAhead::next() {
  UnderWay& from = with_next();
  const Batch& batch = from.batch;
  const std::size_t first = from.taken, left = batch.size() - first;
  const std::size_t count = from.sent ? std::min(batch.range.step, left) : left;
  Step step{.range = {.epoch = batch.range.epoch,
                      .begin = batch.range.begin + first,
                      .count = count,
                      .images = batch.range.images},
            .samples = {.labels = std::span(batch.labels).subspan(first, count), .stays = true}};
  if (from.sent) {
    step.samples.sending = from.sent->number;
    step.samples.place = first;
  } else if (batch.range.images) {
    step.samples.images = batch.images;
  } else {
    find_(batch, step.samples);
  }
  from.taken += count;
  --from.to_take;
  ++from.under_way;
  if (from.sent && &from == &batches_.back() && 2 * from.taken >= batch.size()) read_ahead();
  return step;
}

void BatchesAhead::drop_oldest() {
  UnderWay& oldest = batches_.front();
  --oldest.under_way;
  if (oldest.under_way > 0 || oldest.to_take > 0) return;
  spare_.push_back(std::move(oldest.batch));
  batches_.pop_front();
}

}  // namespace dovetail
