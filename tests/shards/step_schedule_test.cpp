// Every sample of an epoch has one place in its steps.
#include "shards/step_schedule.hpp"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

TEST(StepSchedule, PlainTrainingTakesBatches) {
  const StepSchedule schedule = StepSchedule::make(150, 16, 0, 1);
  EXPECT_EQ(schedule.steps_per_epoch(), 10u);
  const StepSchedule::Step last = schedule.at(19);
  EXPECT_EQ(last.epoch, 1u);
  EXPECT_EQ(last.pool, (Share{144, 6}));
  EXPECT_EQ(last.keep, 6u);
  EXPECT_EQ(last.contributed.count, 0u);
}

TEST(StepSchedule, CoversEverySampleOnce) {
  for (const auto& [samples, batch, share, keep] : {std::tuple(150u, 16u, 0.25, 1.0),
                                                    {151u, 16u, 0.0, 1.0 / 3},
                                                    {1000u, 64u, 0.5, 0.25},
                                                    {10u, 16u, 0.25, 0.5}}) {
    const StepSchedule schedule = StepSchedule::make(samples, batch, share, keep);
    EXPECT_EQ(schedule.batch + schedule.contributed, batch);
    std::size_t next = 0;
    for (std::uint64_t step = 0; step < schedule.steps_per_epoch(); ++step) {
      const StepSchedule::Step plan = schedule.at(step);
      EXPECT_EQ(plan.pool.begin, next);
      EXPECT_EQ(plan.contributed.begin, next + plan.pool.count);
      EXPECT_LE(plan.keep, plan.pool.count);
      EXPECT_GE(plan.keep, 1u);
      next = plan.contributed.begin + plan.contributed.count;
    }
    EXPECT_EQ(next, samples);
  }
}

TEST(StepSchedule, KeepsTheAskedPartOfThePool) {
  const StepSchedule schedule = StepSchedule::make(60000, 64, 0, 1.0 / 3);
  EXPECT_EQ(schedule.pool, 192u);
  EXPECT_EQ(schedule.at(0).keep, 64u);
}

TEST(BoostTiming, PublishesEveryStalenessPlusOneSteps) {
  const BoostTiming timing{.first_step = 5, .last_step = 100, .staleness = 3};
  std::vector<std::uint64_t> published;
  for (std::uint64_t step = 5; step < 14; ++step) {
    if (timing.publishes_before(step)) published.push_back(step);
  }
  EXPECT_EQ(published, (std::vector<std::uint64_t>{5, 8, 12}));
  EXPECT_EQ(timing.next_publication(5), 8u);
  EXPECT_EQ(timing.next_publication(8), 12u);
}

}  // namespace
}  // namespace dovetail
