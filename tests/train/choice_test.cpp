// The draws have the distributions that they are said to have.
#include "train/choice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "support/error.hpp"
#include "support/random.hpp"

namespace dovetail {
namespace {

constexpr std::size_t draws = 20000;

std::uint64_t fresh_seed() {
  return std::random_device{}();
}

std::vector<float> random_losses(std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> losses;
  for (std::size_t i = 0; i < count; ++i) losses.push_back(-std::log(random.uniform(0.001f, 1)));
  return losses;
}

/// Σ (observed − expected)² / expected; for k cells its mean is k − 1 and its variance 2 (k − 1).
double chi_square(const std::vector<std::size_t>& observed, const std::vector<double>& expected) {
  double sum = 0;
  for (std::size_t i = 0; i < observed.size(); ++i) {
    const double d = static_cast<double>(observed[i]) - expected[i];
    sum += d * d / expected[i];
  }
  return sum;
}

/// Six standard deviations above the mean.
double unlikely(std::size_t cells) {
  const auto freedom = static_cast<double>(cells - 1);
  return freedom + 6 * std::sqrt(2 * freedom);
}

TEST(Choice, RankDrawsInProportionToTheSquaredRank) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(seed);
  const std::vector<float> losses{0.3f, 2.0f, 0.1f, 0.9f, 5.0f};  // ranks 2, 4, 1, 3, 5
  const std::vector<double> squares{4, 16, 1, 9, 25};
  std::vector<std::size_t> counts(5);
  for (std::size_t i = 0; i < draws; ++i)
    ++counts[choose(SelectKind::rank, losses, 1, seed + i).picks.front()];
  std::vector<double> expected;
  for (const double square : squares) expected.push_back(draws * square / 55);
  EXPECT_LT(chi_square(counts, expected), unlikely(5));
}

TEST(Choice, RankDrawsByTheExponentGiven) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(seed);
  const std::vector<float> losses{0.3f, 2.0f, 0.1f, 0.9f};  // ranks 2, 4, 1, 3
  for (const double exponent : {0.0, 0.5, 1.0}) {
    std::vector<std::size_t> counts(4);
    for (std::size_t i = 0; i < draws; ++i)
      ++counts[choose(SelectKind::rank, losses, 1, seed + i, exponent).picks.front()];
    std::vector<double> expected;
    double sum = 0;
    for (const double rank : {2, 4, 1, 3}) {
      expected.push_back(std::pow(rank, exponent));
      sum += expected.back();
    }
    for (double& value : expected) value *= draws / sum;
    EXPECT_LT(chi_square(counts, expected), unlikely(4)) << exponent;
  }
}

TEST(Choice, OldScoresCountForLess) {
  EXPECT_EQ(rank_exponent(70, 70, 4), 2);
  EXPECT_EQ(rank_exponent(0, 0, 4), 2);
  EXPECT_EQ(rank_exponent(20, 0, 4), 0) << "weights that have learned nothing tell nothing";
  EXPECT_EQ(rank_exponent(20, 0, 0), 2) << "unless the age is to be ignored";
  EXPECT_DOUBLE_EQ(rank_exponent(120, 100, 4), 2.0 * 100 / 180);
  EXPECT_LT(rank_exponent(1100, 1000, 4), rank_exponent(1020, 1000, 4));
  EXPECT_LT(rank_exponent(300, 280, 4), rank_exponent(1300, 1280, 4));
}

TEST(Choice, RankDrawsWithoutReplacement) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(seed);
  // The probability of a pair is that of drawing it in either order.
  const std::vector<double> weight{1, 4, 9, 16};
  std::vector<std::size_t> counts(6);
  std::vector<double> expected;
  const auto cell = [](std::size_t a, std::size_t b) { return a == 0 ? b - 1 : a + b; };
  for (std::size_t a = 0; a < 4; ++a) {
    for (std::size_t b = a + 1; b < 4; ++b) {
      const double p = weight[a] / 30 * weight[b] / (30 - weight[a]) +
                       weight[b] / 30 * weight[a] / (30 - weight[b]);
      ASSERT_EQ(cell(a, b), expected.size());
      expected.push_back(draws * p);
    }
  }
  for (std::size_t i = 0; i < draws; ++i) {
    const auto picks =
        choose(SelectKind::rank, std::vector<float>{0.1f, 0.2f, 0.3f, 0.4f}, 2, seed + i).picks;
    ASSERT_EQ(picks.size(), 2u);
    ASSERT_LT(picks[0], picks[1]);
    ++counts[cell(picks[0], picks[1])];
  }
  EXPECT_LT(chi_square(counts, expected), unlikely(6));
}

TEST(Choice, ImportanceIsUnbiased) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(seed);
  const std::vector<float> losses = random_losses(30, seed);
  // Anything that depends on the sample, such as a component of its gradient.
  std::vector<double> values;
  for (const float loss : losses) values.push_back(std::sin(10.0 * loss) + loss);
  const double truth = std::accumulate(values.begin(), values.end(), 0.0) / 30;
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < draws; ++i) {
    const Choice choice = choose(SelectKind::importance, losses, 10, seed + 1000 + i);
    double mean = 0;
    for (std::size_t j = 0; j < 10; ++j) {
      ASSERT_LE(choice.weights[j], 10.001f);
      mean += static_cast<double>(choice.weights[j]) * values[choice.picks[j]] / 10;
    }
    sum += mean;
    squares += mean * mean;
  }
  const double mean = sum / draws, variance = squares / draws - mean * mean;
  EXPECT_NEAR(mean, truth, 5 * std::sqrt(variance / draws));
}

TEST(Choice, RandomTakesEverySampleAlike) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(seed);
  const std::vector<float> losses = random_losses(9, seed);
  std::vector<std::size_t> counts(9);
  for (std::size_t i = 0; i < draws; ++i)
    ++counts[choose(SelectKind::random, losses, 1, seed + i).picks.front()];
  EXPECT_LT(chi_square(counts, std::vector<double>(9, draws / 9.0)), unlikely(9));
}

TEST(Choice, HardTakesTheLargestLosses) {
  const Choice choice =
      choose(SelectKind::hard, std::vector<float>{0.5f, 3.0f, 0.1f, 2.0f, 0.7f}, 2, 1);
  EXPECT_EQ(choice.picks, (std::vector<std::uint32_t>{1, 3}));
  EXPECT_TRUE(choice.weights.empty());
}

TEST(Choice, LossesThatAreNoNumbersAreLastInRank) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> losses{nan, 0.2f, infinity, 0.1f, -1.0f};
  EXPECT_EQ(choose(SelectKind::hard, losses, 2, 1).picks, (std::vector<std::uint32_t>{1, 3}));
  for (const float weight : choose(SelectKind::importance, losses, 50 / 10, 3).weights)
    EXPECT_TRUE(std::isfinite(weight));
}

TEST(Choice, TheSameSeedChoosesTheSame) {
  const std::vector<float> losses = random_losses(50, 4);
  for (const SelectKind kind : {SelectKind::rank, SelectKind::importance, SelectKind::random}) {
    EXPECT_EQ(choose(kind, losses, 20, 5).picks, choose(kind, losses, 20, 5).picks);
    EXPECT_NE(choose(kind, losses, 20, 5).picks, choose(kind, losses, 20, 6).picks);
  }
}

TEST(Choice, RefusesMoreThanThereAre) {
  EXPECT_THROW(choose(SelectKind::rank, std::vector<float>(3, 1.0f), 4, 1), Error);
  EXPECT_THROW(parse_select("best"), UsageError);
}

}  // namespace
}  // namespace dovetail
