// Block floating point against its definition in exact double arithmetic, and integer dot products.
#include "numeric/block_float.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "numeric/dot.hpp"

namespace dovetail::numeric {
namespace {

std::vector<float> random_block(std::mt19937& random, int center) {
  std::vector<float> numbers;
  for (int i = 0; i < bfp_block; ++i) {
    const auto mantissa = static_cast<float>(static_cast<std::int32_t>(random())) * 0x1p-31f;
    numbers.push_back(std::ldexp(mantissa, center - static_cast<int>(random() % 12)));
  }
  return numbers;
}

double rounded(double steps, Rounding rounding, std::uint32_t random) {
  const double magnitude = std::fabs(steps), low = std::floor(magnitude);
  const double result = rounding == Rounding::toward_zero    ? low
                        : rounding == Rounding::nearest_even ? std::nearbyint(magnitude)
                        : rounding == Rounding::nearest_away
                            ? std::round(magnitude)
                            : low + (std::floor((magnitude - low) * 0x1p32) > random ? 1 : 0);
  return std::copysign(result, steps);
}

template <int K>
void check_block(const std::vector<float>& numbers, Rounding rounding, std::uint32_t key) {
  float largest = 0;
  for (const float number : numbers) largest = std::max(largest, std::fabs(number));
  const int exponent = largest < 0x1p-126f ? -126 : std::ilogb(largest);
  const auto block = bfp_encode<K>(numbers.data(), rounding, key, 40);
  ASSERT_EQ(block.exponent - 127, exponent);
  for (int i = 0; i < bfp_block; ++i) {
    const double step = std::ldexp(1, exponent - (K - 2));
    const double steps = static_cast<double>(numbers[static_cast<std::size_t>(i)]) / step;
    const double high = (1 << (K - 1)) - 1;
    const std::uint32_t random = random_bits(key, 40 + static_cast<std::uint32_t>(i));
    const double mantissa = std::clamp(rounded(steps, rounding, random), -high, high);
    ASSERT_EQ(static_cast<double>(block.mantissa[i].to_int()), mantissa);
    ASSERT_EQ(static_cast<double>(bfp_value(block, i)), mantissa * step);
  }
}

template <int K>
void check_width() {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << K << " bits, seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 1000; ++round) {
    auto numbers = random_block(random, static_cast<int>(random() % 276) - 148);
    if (round == 0) numbers.assign(bfp_block, 0);
    if (round == 1) numbers[5] = -std::numeric_limits<float>::max();
    for (const auto rounding : {Rounding::toward_zero, Rounding::nearest_even,
                                Rounding::nearest_away, Rounding::stochastic}) {
      ASSERT_NO_FATAL_FAILURE(check_block<K>(numbers, rounding, stream_key(seed, 1)));
    }
  }
}

TEST(BlockFloat, FollowsTheDefinitionInEveryWidthAndRounding) {
  check_width<2>();
  check_width<3>();
  check_width<4>();
  check_width<5>();
  check_width<8>();
  check_width<12>();
  check_width<16>();
}

TEST(BlockFloat, DotProductsAreExact) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int round = 0; round < 1000; ++round) {
    const auto a = bfp_encode<8>(random_block(random, 3).data());
    const auto b = bfp_encode<8>(random_block(random, -5).data());
    double sum = 0;
    for (int i = 0; i < bfp_block; ++i) {
      sum += static_cast<double>(bfp_value(a, i)) * static_cast<double>(bfp_value(b, i));
    }
    ASSERT_EQ(std::ldexp(bfp_dot(a, b).to_double(), bfp_dot_exponent(a, b)), sum) << seed;
  }
  BfpBlock<16> extreme{127, {}};
  for (auto& mantissa : extreme.mantissa) mantissa = -32767;
  EXPECT_EQ(bfp_dot(extreme, extreme), 16ll * 32767 * 32767);
}

TEST(BlockFloat, NanAndInfinityMakeTheWholeBlockNan) {
  for (const float special : {std::nanf(""), INFINITY}) {
    float numbers[bfp_block] = {1, special};
    const auto block = bfp_encode<8>(numbers);
    for (int i = 0; i < bfp_block; ++i) EXPECT_TRUE(std::isnan(bfp_value(block, i)));
  }
}

TEST(Dot, AccumulatorsWrapOrSaturateAtTheirWidth) {
  const Int<8> a[3] = {100, 100, -100};
  const Int<8> b[3] = {100, 100, 100};
  EXPECT_EQ((dot<Int<32>>(a, b, 3)), 10000);
  EXPECT_EQ((dot<Int<15>>(a, b, 2)), 20000 - 32768);
  EXPECT_EQ((dot<Int<15>>(a, b, 3)), 10000);  // wrapping forgets what went past
  EXPECT_EQ((saturating_dot<Int<15>>(a, b, 3)), 16383 - 10000);
}

TEST(Dot, TheAccumulatorsBitsHoldTheExtremes) {
  EXPECT_EQ(accumulator_bits(1, 1), 2);
  EXPECT_EQ(accumulator_bits(16, 127 * 127), 19);
  EXPECT_EQ(accumulator_bits(4096, 127 * 128), 27);
  for (int count = 1; count < 300; ++count) {
    const int bits = accumulator_bits(count, 7 * 15);
    EXPECT_LE(count * 105, (1 << (bits - 1)) - 1);
    EXPECT_GT(count * 105, (1 << (bits - 2)) - 1);
  }
}

}  // namespace
}  // namespace dovetail::numeric
