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
                         const StepSchedule& schedule, std::uint64_t first, std::uint64_t last,
                         std::size_t chunks, bool images)
    : schedule_(schedule),
      chunks_(chunks),
      mine_(chunks == 0 ? Share{}
                        : chunks_of(chunks, static_cast<std::size_t>(ranks.rank()),
                                    static_cast<std::size_t>(ranks.size()))),
      prefetcher_(reader,
                  [=, mine = mine_, rank = static_cast<std::size_t>(ranks.rank()),
                   count = static_cast<std::size_t>(ranks.size())](
                      std::size_t index) -> std::optional<Range> {
                    const std::uint64_t step = first + index;
                    if (step >= last) return std::nullopt;
                    const StepSchedule::Step plan = schedule.at(step);
                    const Share part = chunks == 0 ? share(plan.pool.count, rank, count)
                                                   : share_of_chunks(plan.pool.count, mine, chunks);
                    return Range{.epoch = static_cast<std::int64_t>(plan.epoch),
                                 .begin = plan.pool.begin + part.begin,
                                 .count = part.count,
                                 .images = images};
                  }) {}

void OrderedFeed::next(std::uint64_t step, Batch& batch) {
  prefetcher_.next(batch);
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
