// Cross-entropy and hits of logits.
#include "model/score.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace dovetail {
namespace {

TEST(Score, EqualLogitsLoseTheLogarithmOfTheClasses) {
  const std::vector<float> logits(20, 3.0f);
  const std::vector<std::int32_t> labels = {0, 9};
  const Score score = score_logits(logits, labels);
  EXPECT_NEAR(score.loss_sum, 2 * std::log(10.0), 1e-12);
  EXPECT_EQ(score.correct, 1u);  // the first of equal logits is the prediction
}

TEST(Score, IsStableForLargeLogits) {
  const std::vector<float> logits = {1e4f, -1e4f, 1e4f, -1e4f};
  const std::vector<std::int32_t> labels = {0, 1};
  const Score score = score_logits(logits, labels);
  EXPECT_NEAR(score.loss_sum, 2e4, 1e-6);
  EXPECT_EQ(score.correct, 1u);
}

TEST(Score, NothingToScoreIsZero) {
  const Score score = score_logits({}, {});
  EXPECT_EQ(score.loss_sum, 0);
  EXPECT_EQ(score.correct, 0u);
}

}  // namespace
}  // namespace dovetail
