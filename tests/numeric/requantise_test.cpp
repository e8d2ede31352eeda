// The requantisation law against rational arithmetic in wider integers.
#include "numeric/requantise.hpp"

#include <gtest/gtest.h>

#include <random>

namespace dovetail::numeric {
namespace {

__extension__ typedef __int128 Wide;

/// Nearest integer to numerator / denominator, ties toward +∞, by division with remainder.
Wide nearest(Wide numerator, Wide denominator) {
  Wide quotient = numerator / denominator, rest = numerator % denominator;
  if (rest < 0) {
    rest += denominator;
    --quotient;
  }
  return 2 * rest >= denominator ? quotient + 1 : quotient;
}

std::int8_t law(std::int32_t value, std::int32_t multiplier, int shift, int low) {
  const Wide scaled = nearest(Wide{value} * multiplier, Wide{1} << shift);
  return static_cast<std::int8_t>(scaled < low ? Wide{low} : scaled > 127 ? Wide{127} : scaled);
}

TEST(Requantise, EqualsTheLawOnAllSmallArguments) {
  for (int shift = 1; shift <= 12; ++shift) {
    for (int multiplier = 0; multiplier <= 80; ++multiplier) {
      for (int value = -600; value <= 600; ++value) {
        ASSERT_EQ(requantise(value, multiplier, shift, int8_lowest),
                  law(value, multiplier, shift, -128))
            << value << " · " << multiplier << " / 2^" << shift;
        ASSERT_EQ(requantise(value, multiplier, shift, 0), law(value, multiplier, shift, 0));
      }
    }
  }
}

TEST(Requantise, EqualsTheLawOnRandomArgumentsOfFullWidth) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 1000000; ++i) {
    const auto value = static_cast<std::int32_t>(random());
    const auto multiplier = static_cast<std::int32_t>((random() >> 34) + (1 << 30));
    const int shift = shift_lowest + static_cast<int>(random() % shift_highest);
    ASSERT_EQ(Wide{scale_and_round(value, multiplier, shift)},
              nearest(Wide{value} * multiplier, Wide{1} << shift));
    ASSERT_EQ(requantise(value, multiplier, shift, int8_lowest),
              law(value, multiplier, shift, -128));
  }
}

TEST(Requantise, RoundsTiesUp) {
  const std::int32_t half = 1 << 30;  // with shift 31: one half
  EXPECT_EQ(requantise(1, half, 31, int8_lowest), 1);
  EXPECT_EQ(requantise(-1, half, 31, int8_lowest), 0);
  EXPECT_EQ(requantise(3, half, 31, int8_lowest), 2);
  EXPECT_EQ(requantise(-3, half, 31, int8_lowest), -1);
}

TEST(Requantise, HoldsAtTheEndsOfTheRange) {
  const std::int32_t most = INT32_MAX, least = INT32_MIN;
  EXPECT_EQ(requantise(most, most, 1, int8_lowest), 127);
  EXPECT_EQ(requantise(least, most, 1, int8_lowest), -128);
  EXPECT_EQ(requantise(least, most, 1, 0), 0);
  EXPECT_EQ(requantise(most, most, 62, int8_lowest), 1);
  EXPECT_EQ(requantise(least, most, 62, int8_lowest), -1);
}

}  // namespace
}  // namespace dovetail::numeric
