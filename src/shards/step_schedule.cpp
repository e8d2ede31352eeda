// Cuts an epoch into steps.
#include "shards/step_schedule.hpp"

#include <algorithm>
#include <cmath>

namespace dovetail {

StepSchedule StepSchedule::make(std::uint64_t samples, std::uint64_t global_batch, double share,
                                double keep) {
  StepSchedule schedule;
  schedule.samples = samples;
  schedule.contributed =
      std::min(static_cast<std::uint64_t>(std::llround(share * static_cast<double>(global_batch))),
               global_batch - 1);
  schedule.batch = global_batch - schedule.contributed;
  schedule.pool = std::max(
      schedule.batch,
      static_cast<std::uint64_t>(std::llround(static_cast<double>(schedule.batch) / keep)));
  return schedule;
}

std::uint64_t StepSchedule::steps_per_epoch() const {
  const std::uint64_t each = pool + contributed;
  return (samples + each - 1) / each;
}

StepSchedule::Step StepSchedule::at(std::uint64_t step) const {
  const std::uint64_t begin = step % steps_per_epoch() * (pool + contributed);
  const std::uint64_t in_pool = std::min(pool, samples - begin);
  const std::uint64_t behind = std::min(contributed, samples - begin - in_pool);
  return {.epoch = step / steps_per_epoch(),
          .pool = {begin, in_pool},
          .contributed = {begin + in_pool, behind},
          .keep = std::min(batch, in_pool)};
}

}  // namespace dovetail
