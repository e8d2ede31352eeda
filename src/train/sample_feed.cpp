// Hands the schedule to a prefetcher.
#include "train/sample_feed.hpp"

namespace dovetail {
namespace {

/// What chunks [mine.begin, mine.begin + mine.count) hold of `count` samples.
Share share_of_chunks(std::size_t count, const Share& mine, std::size_t chunks) {
  const Share first = share(count, mine.begin, chunks);
  const Share last = share(count, mine.begin + mine.count - 1, chunks);
  return {first.begin, last.begin + last.count - first.begin};
}

}  // namespace

OrderedFeed::OrderedFeed(const Communicator& ranks, ShardReader& reader,
                         const StepSchedule& schedule, const Shares& shares, std::uint64_t first,
                         std::uint64_t last, std::size_t chunks, bool images, HostMemory memory)
    : reader_(reader),
      schedule_(schedule),
      rank_(static_cast<std::size_t>(ranks.rank())),
      last_(last),
      chunks_(chunks),
      images_(images),
      memory_(std::move(memory)),
      mine_(chunks == 0 ? Share{} : chunks_of(chunks, rank_, shares.ranks())) {
  rebalance(first, shares);
}

void OrderedFeed::rebalance(std::uint64_t step, const Shares& shares) {
  prefetcher_.reset();  // what it has read ahead was cut otherwise
  prefetcher_.emplace(
      reader_,
      [schedule = schedule_, shares, first = step, last = last_, rank = rank_, chunks = chunks_,
       mine = mine_, images = images_](std::size_t index) -> std::optional<Range> {
        if (first + index >= last) return std::nullopt;
        const StepSchedule::Step plan = schedule.at(first + index);
        const Share part = chunks == 0 ? shares.of(plan.pool.count, rank)
                                       : share_of_chunks(plan.pool.count, mine, chunks);
        return Range{.epoch = static_cast<std::int64_t>(plan.epoch),
                     .begin = plan.pool.begin + part.begin,
                     .count = part.count,
                     .images = images};
      },
      Prefetcher::by_size, memory_, memory_ ? Prefetcher::threads_for_short_steps() : 1);
}

void OrderedFeed::next(std::uint64_t step, Batch& batch) {
  prefetcher_->next(batch);
  step_ = step;
  first_sample_ =
      static_cast<std::uint64_t>(batch.range.epoch) * schedule_.samples + batch.range.begin;
}

std::vector<std::size_t> OrderedFeed::passes(const Batch& batch) const {
  if (chunks_ == 0) return SampleFeed::passes(batch);
  std::vector<std::size_t> sizes;
  const std::size_t count = schedule_.at(step_).pool.count;
  for (std::size_t chunk = 0; chunk < mine_.count; ++chunk)
    sizes.push_back(share(count, mine_.begin + chunk, chunks_).count);
  return sizes;
}

}  // namespace dovetail
