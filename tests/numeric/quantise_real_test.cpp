// The float32 form of rounding against the integer one, and blocks of run-time width against fixed
// ones.
#include "numeric/quantise_real.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "numeric/block_float.hpp"
#include "numeric/shared_exponent.hpp"

namespace dovetail::numeric {
namespace {

/// round_places on the number's own significand, clamped and signed.
std::int32_t expected_code(float value, Rounding rounding, std::uint32_t random,
                           std::int32_t largest) {
  const FloatParts parts = float_parts(float_bits(value));
  const auto magnitude = parts.exponent > 0
                             ? std::uint32_t(largest)
                             : round_places(parts.significand, -parts.exponent, rounding, random);
  const auto code = static_cast<std::int32_t>(std::min(magnitude, std::uint32_t(largest)));
  return parts.negative ? -code : code;
}

TEST(QuantiseReal, EqualsTheIntegerLaw) {
  const unsigned seed = std::random_device{}();
  std::mt19937 generator(seed);
  for (int trial = 0; trial < 2000000; ++trial) {
    const int bits = 2 + static_cast<int>(generator() % 15);
    const std::int32_t largest = largest_code(bits);
    const float scale = std::ldexp(1.0F, static_cast<int>(generator() % 50) - 30);
    float value = std::normal_distribution<float>(0, scale)(generator);
    if (trial % 4 == 0) value = std::round(value * 2) / 2;  // ties
    const std::uint32_t random = random_bits(1, static_cast<std::uint32_t>(trial));
    ASSERT_EQ(quantise_real(value, random, largest),
              expected_code(value, Rounding::stochastic, random, largest))
        << value << " to " << bits << " bits, seed " << seed;
    ASSERT_EQ(quantise_real(value, nearest_threshold, largest),
              expected_code(value, Rounding::nearest_away, 0, largest))
        << value << " to " << bits << " bits, seed " << seed;
  }
}

template <int K>
void expect_same_blocks(std::mt19937& generator, unsigned seed) {
  for (int trial = 0; trial < 20000; ++trial) {
    const float scale = std::ldexp(1.0F, static_cast<int>(generator() % 80) - 45);
    float numbers[shared_block];
    float largest = 0;
    for (float& number : numbers) {
      number = std::normal_distribution<float>(0, scale)(generator);
      largest = std::max(largest, std::fabs(number));
    }
    const auto key = static_cast<std::uint32_t>(generator());
    const BfpBlock<K> expected = bfp_encode<K>(numbers, Rounding::stochastic, key, 32);
    const std::int32_t exponent = exponent_for(largest, K);
    for (int i = 0; i < shared_block; ++i) {
      const std::int32_t code =
          quantise_real(numbers[i] * power_of_two(-exponent),
                        random_bits(key, 32 + static_cast<std::uint32_t>(i)), largest_code(K));
      ASSERT_EQ(static_cast<float>(code) * power_of_two(exponent), bfp_value(expected, i))
          << numbers[i] << " in " << K << " bits, seed " << seed;
    }
  }
}

template <int... K>
void expect_same_widths(std::integer_sequence<int, K...>) {
  const unsigned seed = std::random_device{}();
  std::mt19937 generator(seed);
  (expect_same_blocks<K + 2>(generator, seed), ...);
}

TEST(SharedExponent, GivesTheNumbersOfBlockFloat) {
  expect_same_widths(std::make_integer_sequence<int, 7>{});  // bfp2 … bfp8
}

TEST(SharedExponent, StaysWhereProductsAreNormal) {
  for (const float largest : {0.0F, 1e-40F, 1e-30F, 1.0F, 1e30F, 3e38F}) {
    for (int bits = 2; bits <= 8; ++bits) {
      const std::int32_t exponent = exponent_for(largest, bits);
      EXPECT_GE(exponent, shared_exponent_lowest);
      EXPECT_LE(exponent, shared_exponent_highest);
      EXPECT_TRUE(std::isnormal(power_of_two(2 * exponent)));
    }
  }
}

}  // namespace
}  // namespace dovetail::numeric
