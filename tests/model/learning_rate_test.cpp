// Learning-rate schedules against their formulas.
#include "model/learning_rate.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "support/error.hpp"

namespace dovetail {
namespace {

TEST(LearningRate, ConstantStays) {
  const LearningRate rate{.kind = ScheduleKind::constant, .base = 0.1f, .total_steps = 100};
  EXPECT_FLOAT_EQ(rate.at(0), 0.1f);
  EXPECT_FLOAT_EQ(rate.at(99), 0.1f);
}

TEST(LearningRate, StepDropsAfterEveryInterval) {
  const LearningRate rate{
      .kind = ScheduleKind::step, .base = 1, .total_steps = 40, .interval = 10, .factor = 0.5f};
  EXPECT_FLOAT_EQ(rate.at(9), 1);
  EXPECT_FLOAT_EQ(rate.at(10), 0.5f);
  EXPECT_FLOAT_EQ(rate.at(39), 0.125f);
}

TEST(LearningRate, CosineFallsFromBaseToZero) {
  const LearningRate rate{.kind = ScheduleKind::cosine, .base = 0.2f, .total_steps = 1000};
  EXPECT_FLOAT_EQ(rate.at(0), 0.2f);
  EXPECT_NEAR(rate.at(500), 0.1, 1e-6);
  EXPECT_NEAR(rate.at(250), 0.1 * (1 + std::sqrt(0.5)), 1e-6);
  EXPECT_NEAR(rate.at(1000), 0, 1e-7);
  for (std::uint64_t step = 1; step <= 1000; ++step) EXPECT_LT(rate.at(step), rate.at(step - 1));
}

TEST(LearningRate, WarmUpIsLinearAndThenTheScheduleBegins) {
  const LearningRate rate{
      .kind = ScheduleKind::cosine, .base = 0.4f, .warmup_steps = 4, .total_steps = 104};
  EXPECT_FLOAT_EQ(rate.at(0), 0.1f);
  EXPECT_FLOAT_EQ(rate.at(3), 0.4f);
  EXPECT_FLOAT_EQ(rate.at(4), 0.4f);
  EXPECT_NEAR(rate.at(54), 0.2, 1e-6);
}

TEST(LearningRate, UnknownScheduleIsRefused) {
  EXPECT_THROW(parse_schedule("linear"), UsageError);
}

}  // namespace
}  // namespace dovetail
