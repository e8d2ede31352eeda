// Real factors as multiplier and shift, real values as int8.
#include "quant/quantise.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "numeric/requantise.hpp"
#include "support/error.hpp"

namespace dovetail::quant {
namespace {

TEST(ToFactor, IsNormalisedAndExactTo31Bits) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> exponent(-31.9, 29.9);
  for (int i = 0; i < 100000; ++i) {
    const double real = std::exp2(exponent(random));
    const Factor factor = to_factor(real);
    ASSERT_GE(factor.shift, numeric::shift_lowest);
    ASSERT_LE(factor.shift, numeric::shift_highest + 1);
    if (factor.multiplier == 0) {
      ASSERT_LT(real, std::exp2(-31));
      continue;
    }
    ASSERT_GE(factor.multiplier, 1 << 30);
    ASSERT_NEAR(std::ldexp(factor.multiplier, -factor.shift) / real, 1.0, std::exp2(-31));
  }
}

TEST(ToFactor, HoldsAtPowersOfTwoAndTheirNeighbours) {
  EXPECT_EQ(to_factor(1).multiplier, 1 << 30);
  EXPECT_EQ(to_factor(1).shift, 30);
  const Factor below = to_factor(std::nextafter(1.0, 0.0));  // rounds up to the next power of two
  EXPECT_EQ(below.multiplier, 1 << 30);
  EXPECT_EQ(below.shift, 30);
}

TEST(ToFactor, TinyFactorsBecomeZeroAndImpossibleOnesFail) {
  EXPECT_EQ(to_factor(0).multiplier, 0);
  EXPECT_EQ(to_factor(1e-12).multiplier, 0);
  EXPECT_EQ(
      numeric::requantise(INT32_MAX, to_factor(1e-12).multiplier, to_factor(1e-12).shift, -128), 0);
  EXPECT_THROW(to_factor(-1), Error);
  EXPECT_THROW(to_factor(2e9), Error);
  EXPECT_THROW(to_factor(std::numeric_limits<double>::quiet_NaN()), Error);
}

TEST(Quantise, RoundsToNearestAndClamps) {
  EXPECT_EQ(quantise(0.74, 0.5, 127), 1);
  EXPECT_EQ(quantise(0.75, 0.5, 127), 2);
  EXPECT_EQ(quantise(-0.75, 0.5, 127), -2);
  EXPECT_EQ(quantise(1e9, 0.5, 127), 127);
  EXPECT_EQ(quantise(-1e9, 0.5, 127), -127);
}

}  // namespace
}  // namespace dovetail::quant
