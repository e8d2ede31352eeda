// Block floating point against its definition in exact double arithmetic, and integer dot products.
#include "numeric/block_float.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>
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

constexpr Rounding roundings[] = {Rounding::toward_zero, Rounding::nearest_even,
                                  Rounding::nearest_away, Rounding::stochastic};

template <int K>
void check_width() {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << K << " bits, seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 1000; ++round) {
    auto numbers = random_block(random, static_cast<int>(random() % 276) - 148);
    if (round == 0) numbers.assign(bfp_block, 0);
    if (round == 1) numbers[5] = -std::numeric_limits<float>::max();
    for (const auto rounding : roundings) {
      ASSERT_NO_FATAL_FAILURE(check_block<K>(numbers, rounding, stream_key(seed, 1)));
    }
  }
}

template <int... K>
void check_widths(std::integer_sequence<int, K...>) {
  (check_width<K + 2>(), ...);
}

TEST(BlockFloat, FollowsTheDefinitionInEveryWidthAndRounding) {
  check_widths(std::make_integer_sequence<int, 15>{});  // 2 … 16 bits
}

/// Every multiple of an eighth of a step below the exponent's end, 15 of them a block: all codes,
/// all ties, and what lies between.
template <int K>
void check_every_number(int exponent) {
  SCOPED_TRACE(testing::Message() << K << " bits, exponent " << exponent);
  const int end = 8 << (K - 1);
  const auto key = static_cast<std::uint32_t>(exponent * 32 + K);
  for (int eighths = 1 - end; eighths < end;) {
    std::vector<float> numbers{std::ldexp(1.0f, exponent)};
    for (; numbers.size() < bfp_block; ++eighths) {
      const int inside = std::min(eighths, end - 1);
      numbers.push_back(std::ldexp(static_cast<float>(inside), exponent - (K - 2) - 3));
    }
    for (const auto rounding : roundings)
      ASSERT_NO_FATAL_FAILURE(check_block<K>(numbers, rounding, key));
  }
}

/// Each code, at each place of a block, under each exponent, is its own number.
template <int K>
void check_every_code() {
  SCOPED_TRACE(testing::Message() << K << " bits");
  const int high = (1 << (K - 1)) - 1;
  for (int exponent = 1; exponent < 255; ++exponent) {
    for (int code = -high; code <= high; ++code) {
      BfpBlock<K> block{static_cast<std::uint8_t>(exponent), {}};
      // One mantissa that uses all bits keeps the exponent, but for the subnormal one.
      const int place = (code + high) % (bfp_block - 1);
      block.mantissa[place] = code;
      block.mantissa[bfp_block - 1] = high;
      float numbers[bfp_block];
      for (int i = 0; i < bfp_block; ++i) numbers[i] = bfp_value(block, i);
      ASSERT_EQ(static_cast<double>(numbers[place]), std::ldexp(code, exponent - 127 - (K - 2)));
      for (const auto rounding : roundings) {
        const auto again = bfp_encode<K>(numbers, rounding, 7);
        ASSERT_EQ(again.exponent, block.exponent);
        for (int i = 0; i < bfp_block; ++i) ASSERT_EQ(again.mantissa[i], block.mantissa[i]);
      }
    }
  }
}

template <int... K>
void check_narrow(std::integer_sequence<int, K...>) {
  for (const int exponent : {-126, -125, -64, -1, 0, 1, 63, 126, 127})
    (check_every_number<K + 2>(exponent), ...);
  (check_every_code<K + 2>(), ...);
}

TEST(BlockFloat, EveryNumberAndCodeOfEightBitsAndLess) {
  check_narrow(std::make_integer_sequence<int, 7>{});  // 2 … 8 bits
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
