// Minifloats: every code and every rounding boundary, against ml_dtypes and against the definition.
#include "numeric/minifloat.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "numeric/minifloat_oracle.hpp"

namespace dovetail::numeric {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

std::uint64_t digest(const std::vector<std::uint32_t>& words) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::uint32_t word : words) {
    for (int byte = 0; byte < 4; ++byte) hash = (hash ^ (word >> 8 * byte & 0xff)) * 0x100000001b3u;
  }
  return hash;
}

/// The finite numbers from zero up; the index is the code.
template <typename T>
std::vector<float> magnitudes() {
  std::vector<float> numbers;
  for (std::uint32_t code = 0; code <= T::highest_code; ++code) {
    numbers.push_back(T::from_code(code).value());
  }
  return numbers;
}

/// The upper boundary of what rounds to the highest number.
template <typename T>
float edge() {
  const auto numbers = magnitudes<T>();
  const double last = numbers.back();
  return static_cast<float>(last + (last - static_cast<double>(*(numbers.end() - 2))) / 2);
}

/// As make_minifloat_oracle.py lists them.
template <typename T>
std::vector<float> boundaries() {
  std::vector<float> positive;
  const auto numbers = magnitudes<T>();
  for (std::size_t i = 0; i + 1 < numbers.size(); ++i) {
    const float low = numbers[i], high = numbers[i + 1];
    const auto middle = static_cast<float>((static_cast<double>(low) + high) / 2);
    positive.insert(positive.end(),
                    {low, std::nextafter(low, infinity), std::nextafter(middle, -infinity), middle,
                     std::nextafter(middle, infinity), std::nextafter(high, -infinity)});
  }
  positive.insert(positive.end(), {numbers.back(), std::nextafter(edge<T>(), -infinity), edge<T>(),
                                   std::nextafter(edge<T>(), infinity), infinity});
  std::vector<float> both = positive;
  for (const float number : positive) both.push_back(-number);
  return both;
}

template <typename T>
class MinifloatTest : public testing::Test {};
using Formats = testing::Types<BFloat16, Float16, E5m2, E4m3, E2m3, E3m2, E2m1>;
TYPED_TEST_SUITE(MinifloatTest, Formats);

TYPED_TEST(MinifloatTest, DecodesEveryCodeAsMlDtypes) {
  std::vector<std::uint32_t> words;
  for (std::uint32_t code = 0; code < 1u << TypeParam::width; ++code) {
    words.push_back(TypeParam::from_code(code).value_bits());
  }
  EXPECT_EQ(digest(words), Oracle<TypeParam>::decoding);
}

TYPED_TEST(MinifloatTest, EncodesEveryBoundaryToNearestEvenAsMlDtypes) {
  std::vector<std::uint32_t> codes;
  for (const float number : boundaries<TypeParam>()) {
    const Encoding how(Rounding::nearest_even, Excess::to_infinity);
    codes.push_back(TypeParam::encode(number, how).code());
  }
  EXPECT_EQ(digest(codes), Oracle<TypeParam>::encoding);
}

TYPED_TEST(MinifloatTest, EveryCodeGoesRoundInEveryRounding) {
  for (std::uint32_t code = 0; code < 1u << TypeParam::width; ++code) {
    const auto number = TypeParam::from_code(code);
    for (const auto rounding : {Rounding::toward_zero, Rounding::nearest_even,
                                Rounding::nearest_away, Rounding::stochastic}) {
      const auto again = TypeParam::encode(number.value(), {rounding, Excess::to_infinity}, 0);
      if (number.is_nan()) {
        ASSERT_TRUE(again.is_nan());
      } else {
        ASSERT_EQ(again.code(), code);
      }
    }
  }
}

/// Code of the magnitude by the definition: its neighbours are found by comparison.
template <typename T>
std::uint32_t expected(const std::vector<float>& numbers, float number, Rounding rounding,
                       std::uint32_t random) {
  const float magnitude = std::fabs(number);
  const auto above = std::upper_bound(numbers.begin(), numbers.end(), magnitude);
  const auto low = static_cast<std::uint32_t>(above - numbers.begin()) - 1;
  if (above == numbers.end()) return low;  // saturates
  const double fraction = (static_cast<double>(magnitude) - numbers[low]) /
                          (static_cast<double>(*above) - numbers[low]);
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
  return 0;
}

TYPED_TEST(MinifloatTest, EncodesByTheDefinitionInEveryRounding) {
  const auto numbers = magnitudes<TypeParam>();
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  auto inputs = boundaries<TypeParam>();
  for (int i = 0; i < 20000; ++i) {
    const float number = float_of_bits(random());
    if (std::isfinite(number)) inputs.push_back(number);
    inputs.push_back(TypeParam::from_code(random()).value() *
                     (1 + static_cast<float>(random()) * 0x1p-33f));
    if (std::isnan(inputs.back())) inputs.pop_back();
  }
  for (const float number : inputs) {
    for (const auto rounding : {Rounding::toward_zero, Rounding::nearest_even,
                                Rounding::nearest_away, Rounding::stochastic}) {
      const auto bits = static_cast<std::uint32_t>(random());
      const auto got = TypeParam::encode(number, {rounding, Excess::saturate}, bits);
      const std::uint32_t sign = std::signbit(number) ? TypeParam::sign_mask : 0;
      ASSERT_EQ(got.code(), sign | expected<TypeParam>(numbers, number, rounding, bits))
          << number << " in rounding " << static_cast<int>(rounding) << ", random " << bits
          << ", seed " << seed;
    }
  }
}

TYPED_TEST(MinifloatTest, ExcessAndNan) {
  const float highest = TypeParam::from_code(TypeParam::highest_code).value();
  const auto value = [](float number, Rounding rounding, Excess excess) {
    return TypeParam::encode(number, {rounding, excess}).value();
  };
  const float over = std::nextafter(edge<TypeParam>(), infinity);
  EXPECT_EQ(value(over, Rounding::nearest_even, Excess::saturate), highest);
  EXPECT_EQ(value(-infinity, Rounding::nearest_even, Excess::saturate), -highest);
  EXPECT_EQ(value(over, Rounding::toward_zero, Excess::to_infinity), highest);
  const auto excess = TypeParam::encode(over, {Rounding::nearest_even, Excess::to_infinity});
  EXPECT_EQ(excess.is_infinite(), TypeParam::specials == Specials::ieee);
  EXPECT_EQ(excess.is_nan(), TypeParam::specials == Specials::nan_only);
  const auto nan = TypeParam::encode(std::nanf(""), {});
  EXPECT_EQ(nan.is_nan(), TypeParam::specials != Specials::none);
}

}  // namespace
}  // namespace dovetail::numeric
