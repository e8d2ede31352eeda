// Hands the schedule to a prefetcher.
#include "train/sample_feed.hpp"

#include <algorithm>

namespace dovetail {
namespace {

/// What chunks [mine.begin, mine.begin + mine.count) hold of `count` samples.
Share share_of_chunks(std::size_t count, const Share& mine, std::size_t chunks) {
  const Share first = share(count, mine.begin, chunks);
  const Share last = share(count, mine.begin + mine.count - 1, chunks);
  return {first.begin, last.begin + last.count - first.begin};
}

/// All samples of `next` and the steps behind it, `together` at most, up to `last` and the epoch's
/// end; `next` is then the step behind them.
Range range_of_steps(const StepSchedule& schedule, std::uint64_t& next, std::uint64_t last,
                     std::uint64_t together) {
  const StepSchedule::Step first = schedule.at(next);
  const std::uint64_t epoch_end = (first.epoch + 1) * schedule.steps_per_epoch();
  next = std::min({next + together, last, epoch_end});
  const Share end = schedule.at(next - 1).pool;
  return {.epoch = static_cast<std::int64_t>(first.epoch),
          .begin = first.pool.begin,
          .count = end.begin + end.count - first.pool.begin,
          .step = schedule.pool};
}

}  // namespace

OrderedFeed::OrderedFeed(const Communicator& ranks, ShardReader& reader,
                         const StepSchedule& schedule, const Shares& shares, std::uint64_t first,
                         std::uint64_t last, std::size_t chunks, bool images, HostMemory memory,
                         std::size_t together)
    : reader_(reader),
      schedule_(schedule),
      rank_(static_cast<std::size_t>(ranks.rank())),
      last_(last),
      chunks_(chunks),
      images_(images),
      memory_(std::move(memory)),
      readers_(memory_ ? Prefetcher::threads_for_short_steps(ranks.local_size()) : 1),
      together_(together),
      mine_(chunks == 0 ? Share{} : chunks_of(chunks, rank_, shares.ranks())) {
  rebalance(first, shares);
}

void OrderedFeed::rebalance(std::uint64_t step, const Shares& shares) {
  prefetcher_.reset();  // what it has read ahead was cut otherwise
  prefetcher_.emplace(
      reader_,
      [schedule = schedule_, shares, next = step, last = last_, rank = rank_, chunks = chunks_,
       mine = mine_, images = images_,
       together = together_](std::size_t) mutable -> std::optional<Range> {
        if (next >= last) return std::nullopt;
        if (together > 0) return range_of_steps(schedule, next, last, together);
        const StepSchedule::Step plan = schedule.at(next++);
        const Share part = chunks == 0 ? shares.of(plan.pool.count, rank)
                                       : share_of_chunks(plan.pool.count, mine, chunks);
        return Range{.epoch = static_cast<std::int64_t>(plan.epoch),
                     .begin = plan.pool.begin + part.begin,
                     .count = part.count,
                     .images = images};
      },
      Prefetcher::by_size, memory_, readers_);
}

bool OrderedFeed::next(std::uint64_t, Batch& batch) {
  if (!prefetcher_->next(batch)) return false;
  first_sample_ =
      static_cast<std::uint64_t>(batch.range.epoch) * schedule_.samples + batch.range.begin;
  return true;
}

std::vector<std::size_t> OrderedFeed::passes(std::uint64_t step, std::size_t samples) const {
  if (chunks_ == 0) return SampleFeed::passes(step, samples);
  std::vector<std::size_t> sizes;
  const std::size_t count = schedule_.at(step).pool.count;
  for (std::size_t chunk = 0; chunk < mine_.count; ++chunk)
    sizes.push_back(share(count, mine_.begin + chunk, chunks_).count);
  return sizes;
}

}  // namespace dovetail
