// How the loss scale follows the gradients.
#include "model/loss_scale.hpp"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

TEST(LossScale, HalvesOnOverflowAndSkipsThatStep) {
  LossScale scale;
  EXPECT_EQ(scale.value(), 65536);
  EXPECT_TRUE(scale.after(true));
  EXPECT_FALSE(scale.after(false));
  EXPECT_FALSE(scale.after(false));
  EXPECT_EQ(scale.value(), 16384);
  EXPECT_EQ(scale.skipped(), 2u);
  EXPECT_EQ(scale.steps(), 0u);
}

TEST(LossScale, DoublesAfterItsPatience) {
  LossScale scale(64);
  for (std::uint64_t i = 1; i < LossScale::patience; ++i) scale.after(true);
  EXPECT_EQ(scale.value(), 64);
  scale.after(true);
  EXPECT_EQ(scale.value(), 128);
  for (std::uint64_t i = 1; i < LossScale::patience; ++i) scale.after(true);
  scale.after(false);  // starts the count anew
  EXPECT_EQ(scale.value(), 64);
  for (std::uint64_t i = 1; i < LossScale::patience; ++i) scale.after(true);
  EXPECT_EQ(scale.value(), 64);
}

TEST(LossScale, StaysWithinItsBounds) {
  LossScale high(LossScale::largest, LossScale::patience - 1);
  high.after(true);
  EXPECT_EQ(high.value(), LossScale::largest);
  LossScale low(LossScale::least);
  EXPECT_FALSE(low.is_exhausted());
  low.after(false);
  EXPECT_TRUE(low.is_exhausted());
}

TEST(LossScale, GoesOnWhereAnotherStopped) {
  LossScale whole, first;
  for (int i = 0; i < 1500; ++i) first.after(true);
  LossScale second(first.value(), first.steps());
  for (int i = 0; i < 600; ++i) second.after(true);
  for (int i = 0; i < 2100; ++i) whole.after(true);
  EXPECT_EQ(second.value(), whole.value());
  EXPECT_EQ(second.steps(), whole.steps());
}

}  // namespace
}  // namespace dovetail
