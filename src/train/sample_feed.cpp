// Hands the schedule to a prefetcher.
#include "train/sample_feed.hpp"

namespace dovetail {

OrderedFeed::OrderedFeed(const Communicator& ranks, ShardReader& reader,
                         const StepSchedule& schedule, std::uint64_t first, std::uint64_t last)
    : samples_(schedule.samples),
      prefetcher_(reader,
                  [=, rank = static_cast<std::size_t>(ranks.rank()),
                   count = static_cast<std::size_t>(ranks.size())](
                      std::size_t index) -> std::optional<Range> {
                    const std::uint64_t step = first + index;
                    if (step >= last) return std::nullopt;
                    const StepSchedule::Step plan = schedule.at(step);
                    const Share mine = share(plan.pool.count, rank, count);
                    return Range{.epoch = static_cast<std::int64_t>(plan.epoch),
                                 .begin = plan.pool.begin + mine.begin,
                                 .count = mine.count};
                  }) {}

void OrderedFeed::next(std::uint64_t, Batch& batch) {
  prefetcher_.next(batch);
  first_sample_ = static_cast<std::uint64_t>(batch.range.epoch) * samples_ + batch.range.begin;
}

}  // namespace dovetail
