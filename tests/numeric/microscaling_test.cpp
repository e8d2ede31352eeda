// MX blocks against the tables and rules of the OCP specification, written down here.
#include "numeric/microscaling.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace dovetail::numeric {
namespace {

/// OCP MX 1.0, section 5.3: the range of each element format. Exponents say 2^x.
struct Row {
  float highest, least_normal, highest_subnormal, least_subnormal;
  bool has_infinity, has_nan;
};

template <typename T>
void check_row(const Row& row) {
  std::vector<float> normal, subnormal;
  bool infinity = false, nan = false;
  for (std::uint32_t code = 0; code < 1u << T::width; ++code) {
    const auto number = T::from_code(code);
    infinity = infinity || number.is_infinite();
    nan = nan || number.is_nan();
    if (number.is_nan() || number.is_infinite() || number.value() <= 0) continue;
    (code >> T::mantissa_bits == 0 ? subnormal : normal).push_back(number.value());
  }
  EXPECT_EQ(*std::max_element(normal.begin(), normal.end()), row.highest);
  EXPECT_EQ(*std::min_element(normal.begin(), normal.end()), row.least_normal);
  EXPECT_EQ(*std::max_element(subnormal.begin(), subnormal.end()), row.highest_subnormal);
  EXPECT_EQ(*std::min_element(subnormal.begin(), subnormal.end()), row.least_subnormal);
  EXPECT_EQ(infinity, row.has_infinity);
  EXPECT_EQ(nan, row.has_nan);
}

TEST(Microscaling, ElementsHaveTheSpecificationsRanges) {
  check_row<E4m3>({448, 0x1p-6f, 0x1.cp-7f, 0x1p-9f, false, true});
  check_row<E5m2>({57344, 0x1p-14f, 0x1.8p-15f, 0x1p-16f, true, true});
  check_row<E2m3>({7.5f, 1.0f, 0.875f, 0.125f, false, false});
  check_row<E3m2>({28, 0.25f, 0.1875f, 0.0625f, false, false});
  check_row<E2m1>({6, 1.0f, 0.5f, 0.5f, false, false});
}

TEST(Microscaling, EveryFp4Number) {
  const float numbers[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  for (std::uint32_t code = 0; code < 8; ++code) {
    EXPECT_EQ(E2m1::from_code(code).value(), numbers[code]);
    EXPECT_EQ(E2m1::from_code(code + 8).value(), -numbers[code]);
  }
}

TEST(Microscaling, EveryInt8Number) {
  for (int code = -128; code <= 127; ++code) {
    const auto number = MxInt8::from_code(static_cast<std::uint32_t>(code));
    EXPECT_EQ(number.value(), static_cast<float>(code) / 64);  // highest 1 63/64, least 2^−6
    EXPECT_EQ(number.code(), static_cast<std::uint32_t>(code) & 0xff);
  }
}

TEST(Microscaling, EveryScale) {
  for (std::uint32_t scale = 0; scale < 255; ++scale) {
    EXPECT_EQ(e8m0_value(scale), std::ldexp(1.0f, static_cast<int>(scale) - 127));
  }
  EXPECT_TRUE(std::isnan(e8m0_value(255)));
}

constexpr Rounding roundings[] = {Rounding::toward_zero, Rounding::nearest_even,
                                  Rounding::nearest_away, Rounding::stochastic};
constexpr std::uint32_t first_random = 64;

/// Section 6.3's law in exact double arithmetic; elements found by search over all codes, whose
/// magnitudes ascend.
struct Expected {
  int exponent;
  std::vector<float> numbers;
};

std::size_t element_of(double scaled, const std::vector<double>& elements, Rounding rounding,
                       std::uint32_t random) {
  std::size_t low = 0;
  while (low + 1 < elements.size() && elements[low + 1] <= scaled) ++low;
  if (low + 1 == elements.size()) return low;  // saturates
  const double fraction = (scaled - elements[low]) / (elements[low + 1] - elements[low]);
  switch (rounding) {
    case Rounding::toward_zero:
      return low;
    case Rounding::nearest_even:
      return low + (fraction > 0.5 || (fraction == 0.5 && low % 2 == 1));
    case Rounding::nearest_away:
      return low + (fraction >= 0.5);
    case Rounding::stochastic:
      return low + (std::floor(fraction * 0x1p32) > random);
  }
  return low;
}

Expected expected(const std::vector<float>& numbers, int highest_exponent,
                  const std::vector<double>& elements, Rounding rounding, std::uint32_t key) {
  float largest = 0;
  for (const float number : numbers) largest = std::max(largest, std::fabs(number));
  const int shared = largest == 0 ? -127 : std::ilogb(largest) - highest_exponent;
  Expected result{std::clamp(shared, -127, 127), {}};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const double scaled = std::ldexp(std::fabs(static_cast<double>(numbers[i])), -result.exponent);
    const std::uint32_t random = random_bits(key, first_random + static_cast<std::uint32_t>(i));
    const std::size_t element = element_of(scaled, elements, rounding, random);
    const double value = std::ldexp(elements[element], result.exponent);
    result.numbers.push_back(static_cast<float>(std::signbit(numbers[i]) ? -value : value));
  }
  return result;
}

std::vector<float> random_block(std::mt19937& random) {
  const int center = static_cast<int>(random() % 250) - 125,
            spread = static_cast<int>(random() % 20);
  std::vector<float> numbers;
  for (int i = 0; i < mx_block; ++i) {
    const auto mantissa = static_cast<float>(static_cast<std::int32_t>(random())) * 0x1p-31f;
    const auto below = static_cast<int>(random() % static_cast<unsigned>(spread + 1));
    numbers.push_back(random() % 16 == 0 ? 0 : std::ldexp(mantissa, center - below));
  }
  return numbers;
}

/// The numbers from zero up.
template <typename T>
std::vector<double> magnitudes(std::uint32_t highest_code) {
  std::vector<double> elements;
  for (std::uint32_t code = 0; code <= highest_code; ++code)
    elements.push_back(T::from_code(code).value());
  return elements;
}

template <typename T>
void check_block(const std::vector<float>& numbers, int highest_exponent,
                 const std::vector<double>& elements, std::uint32_t key) {
  for (const auto rounding : roundings) {
    const Expected want = expected(numbers, highest_exponent, elements, rounding, key);
    const auto got = mx_encode<T>(numbers.data(), rounding, key, first_random);
    ASSERT_EQ(got.scale - 127, want.exponent);
    for (int i = 0; i < mx_block; ++i) {
      ASSERT_EQ(mx_value(got, i), want.numbers[static_cast<std::size_t>(i)])
          << numbers[static_cast<std::size_t>(i)] << " at " << i << ", rounding "
          << static_cast<int>(rounding);
    }
  }
}

template <typename T>
void check_blocks(int highest_exponent, std::uint32_t highest_code) {
  const std::vector<double> elements = magnitudes<T>(highest_code);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 500; ++round) {
    auto numbers = random_block(random);
    if (round == 0) numbers.assign(mx_block, 0);
    if (round == 1) numbers[3] = std::numeric_limits<float>::max();
    if (round == 2) numbers.assign(mx_block, std::numeric_limits<float>::denorm_min());
    ASSERT_NO_FATAL_FAILURE(
        check_block<T>(numbers, highest_exponent, elements, stream_key(seed, 1)));
  }
}

TEST(Microscaling, BlocksFollowTheSpecificationsConversion) {
  check_blocks<E4m3>(8, E4m3::highest_code);
  check_blocks<E5m2>(15, E5m2::highest_code);
  check_blocks<E2m3>(2, E2m3::highest_code);
  check_blocks<E3m2>(4, E3m2::highest_code);
  check_blocks<E2m1>(2, E2m1::highest_code);
  check_blocks<MxInt8>(0, 127);
}

/// All numbers, and seven between each two: ties, and what lies on both sides of them. Beyond the
/// highest as far as the scale stays.
std::vector<double> eighths(const std::vector<double>& elements, int highest_exponent) {
  std::vector<double> positive;
  for (std::size_t i = 0; i + 1 < elements.size(); ++i)
    for (int k = 0; k < 8; ++k)
      positive.push_back(elements[i] + (elements[i + 1] - elements[i]) * k / 8);
  const double last = elements.back(), gap = (last - elements[elements.size() - 2]) / 8;
  for (double number = last; number < std::ldexp(2, highest_exponent); number += gap)
    positive.push_back(number);
  std::vector<double> both = positive;
  for (const double number : positive) both.push_back(-number);
  return both;
}

/// The block's first number sets the scale.
template <typename T>
void check_every_number(int highest_exponent, std::uint32_t highest_code) {
  const std::vector<double> elements = magnitudes<T>(highest_code);
  const std::vector<double> all = eighths(elements, highest_exponent);
  for (const int exponent : {-100, -1, 0, 1, 100}) {
    SCOPED_TRACE(testing::Message() << "exponent " << exponent);
    for (std::size_t next = 0; next < all.size();) {
      std::vector<float> numbers{std::ldexp(1.0f, exponent + highest_exponent)};
      for (; numbers.size() < mx_block; ++next)
        numbers.push_back(static_cast<float>(std::ldexp(all[next % all.size()], exponent)));
      ASSERT_NO_FATAL_FAILURE(
          check_block<T>(numbers, highest_exponent, elements, static_cast<std::uint32_t>(next)));
    }
  }
}

TEST(Microscaling, EveryNumberOfEveryElementInEveryRounding) {
  check_every_number<MxInt8>(0, 127);
  check_every_number<E2m1>(2, E2m1::highest_code);
  check_every_number<E2m3>(2, E2m3::highest_code);
  check_every_number<E3m2>(4, E3m2::highest_code);
  check_every_number<E4m3>(8, E4m3::highest_code);
  check_every_number<E5m2>(15, E5m2::highest_code);
}

/// −128 stays unused; a negative element is its positive one's mirror image.
TEST(Microscaling, Int8ElementsAreSymmetric) {
  for (int eighths = 0; eighths < 8 * 140; ++eighths) {
    for (const auto rounding : roundings) {
      for (const std::uint32_t random : {0u, 0x3fffffffu, 0x80000000u, 0xffffffffu}) {
        const auto of = [&](float number) {
          const auto parts = float_parts(float_bits(number));
          const auto element = MxInt8::encode(parts, Encoding(rounding, Excess::saturate), random);
          return static_cast<std::int8_t>(element.code());
        };
        const auto number = static_cast<float>(eighths) / 512;
        ASSERT_EQ(of(-number), -of(number)) << number;
        ASSERT_LE(of(number), 127);
      }
    }
  }
}

TEST(Microscaling, NanAndInfinityMakeTheWholeBlockNan) {
  for (const float special : {std::nanf(""), INFINITY, -INFINITY}) {
    float numbers[mx_block] = {1, 2, special};
    const auto block = mx_encode<E2m1>(numbers);
    EXPECT_EQ(block.scale, e8m0_nan);
    for (int i = 0; i < mx_block; ++i) EXPECT_TRUE(std::isnan(mx_value(block, i)));
  }
}

TEST(Microscaling, StochasticRoundingIsReproducibleAndUnbiased) {
  float numbers[mx_block];
  std::fill(std::begin(numbers), std::end(numbers), 2.5f);  // half way between 2 and 3
  numbers[0] = 4;
  int up = 0;
  const int blocks = 4096;
  for (std::uint32_t b = 0; b < blocks; ++b) {
    const auto block =
        mx_encode<E2m1>(numbers, Rounding::stochastic, stream_key(9, 1), b * mx_block);
    const auto again =
        mx_encode<E2m1>(numbers, Rounding::stochastic, stream_key(9, 1), b * mx_block);
    for (int i = 1; i < mx_block; ++i) {
      ASSERT_EQ(block.element[i].code(), again.element[i].code());
      up += mx_value(block, i) == 3 ? 1 : 0;
    }
  }
  const double draws = blocks * (mx_block - 1);
  EXPECT_NEAR(up, draws / 2, 5 * std::sqrt(draws / 4));
}

}  // namespace
}  // namespace dovetail::numeric
