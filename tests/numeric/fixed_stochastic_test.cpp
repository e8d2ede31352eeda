// Stochastic rounding of fixed-point numbers: over all random words that its fraction can tell
// apart, so that the odds are counted, not sampled.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>

#include "numeric/fixed_conversions.hpp"
#include "numeric/quantise_real.hpp"

namespace dovetail::numeric {
namespace {

/// A conversion whose random bits are given. Its target rounds by a mode that shall not matter.
struct ByChance {
  Conversion conversion;
  int (*convert)(int code, std::uint32_t random);
};

template <typename From, typename To>
int convert(int code, std::uint32_t random) {
  return static_cast<int>(To::stochastic(From::from_code(code), random).code());
}

template <int W, bool Signed, Overflow O, int... Drop>
void add_drops(std::vector<ByChance>& all, std::integer_sequence<int, Drop...>) {
  constexpr Quantisation q = static_cast<Quantisation>((W + static_cast<int>(O)) % 7);
  using From = Fixed<source_width, source_width - source_fraction_bits>;
  (all.push_back({{source_width, true, W, Signed, q, O, Drop, nullptr, nullptr},
                  convert<From, FixedPoint<W, W - source_fraction_bits + Drop, q, O, Signed>>}),
   ...);
}

template <bool Signed, Overflow O, int... Width>
void add_widths(std::vector<ByChance>& all, std::integer_sequence<int, Width...>) {
  using Drops = std::make_integer_sequence<int, highest_drop + 1>;
  (add_drops<Width + 1, Signed, O>(all, Drops{}), ...);
}

template <Overflow O>
void add_signs(std::vector<ByChance>& all) {
  add_widths<true, O>(all, std::make_integer_sequence<int, 8>{});
  add_widths<false, O>(all, std::make_integer_sequence<int, 8>{});
}

std::vector<ByChance> conversions() {
  std::vector<ByChance> all;
  add_signs<Overflow::wrap>(all);
  add_signs<Overflow::saturate>(all);
  add_signs<Overflow::saturate_zero>(all);
  add_signs<Overflow::saturate_symmetric>(all);
  return all;
}

/// Holds for every low half of the random words: they lie behind the fraction's last bit.
void check_every_word(const ByChance& by_chance, int code, std::uint32_t low_bits) {
  const Conversion& c = by_chance.conversion;
  const int words = 1 << c.drop, sign = code < 0 ? -1 : 1;
  const int down = std::abs(code) / words, rest = std::abs(code) % words;
  const auto fitted = [&](int magnitude) {
    return fitted_exactly(sign * magnitude, c.width, c.is_signed, c.overflow);
  };
  for (int word = 0; word < words; ++word) {
    const std::uint32_t random =
        c.drop == 0 ? low_bits
                    : static_cast<std::uint32_t>(word) << (32 - c.drop) | low_bits >> c.drop;
    // The first `rest` of the words go away from zero: in rest / words of all cases.
    ASSERT_EQ(by_chance.convert(code, random), fitted(word < rest ? down + 1 : down))
        << code << " by " << random << ": " << describe(c);
  }
}

TEST(FixedStochastic, EveryCodeToEveryFormatHasTheOddsOfItsFraction) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (const ByChance& by_chance : conversions()) {
    const Conversion& c = by_chance.conversion;
    for (int code = c.lowest(); code <= c.highest(); ++code) {
      ASSERT_NO_FATAL_FAILURE(
          check_every_word(by_chance, code, static_cast<std::uint32_t>(random())));
    }
  }
}

/// Where nothing overflows: Σ over all words of result · step = words · number.
TEST(FixedStochastic, TheMeanOverAllWordsIsTheNumber) {
  using From = Fixed<16, 8>;
  using To = Fixed<8, 8, Quantisation::truncate, Overflow::saturate>;
  for (int code = -127 * 256; code <= 127 * 256; ++code) {
    const auto number = From::from_code(code);
    int sum = 0;
    for (std::uint32_t word = 0; word < 256; ++word)
      sum += To::stochastic(number, word << 24 | 0x5a5a5au).code();
    ASSERT_EQ(sum, code) << number.to_double();
  }
}

TEST(FixedStochastic, WhatIsExactStays) {
  for (int code = -128; code < 128; ++code) {
    const auto number = Fixed<8, 3>::from_code(code);
    for (const std::uint32_t random : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
      ASSERT_EQ((Fixed<8, 3>::stochastic(number, random)), number);
      ASSERT_EQ((Fixed<16, 5>::stochastic(number, random)), number);
      ASSERT_EQ((Fixed<8, 3>::stochastic(number.to_double(), random)), number);
      ASSERT_EQ((Fixed<8, 3>::stochastic(number.to_float(), random)), number);
      ASSERT_EQ((Fixed<8, 8>::stochastic(Int<8>(code), random).code()), code);
      ASSERT_EQ((Fixed<8, 8>::stochastic(code, random).code()), code);
    }
  }
}

TEST(FixedStochastic, IsTheLawOfTheOtherFormats) {
  const auto seed = std::random_device{}();
  std::mt19937 generator(seed);
  const std::uint32_t key = stream_key(seed, 3);
  for (std::uint32_t i = 0; i < 200000; ++i) {
    const int exponent = static_cast<int>(generator() % 50) - 30;
    const float value = std::ldexp(std::normal_distribution<float>()(generator), exponent);
    const std::uint32_t random = random_bits(key, i);
    using Symmetric = Fixed<8, 5, Quantisation::truncate, Overflow::saturate_symmetric>;
    ASSERT_EQ(Symmetric::stochastic(value, random).code(), quantise_real(value * 8, random, 127))
        << value << ", seed " << seed;
    const auto size = static_cast<std::int32_t>(generator() >> (1 + generator() % 31));
    const std::int32_t code = generator() % 2 == 0 ? size : -size;
    const int magnitude = static_cast<int>(
        round_places(static_cast<std::uint32_t>(std::abs(code)), 17, Rounding::stochastic, random));
    const auto cut = Fixed<20, 20>::stochastic(Fixed<32, 15>::from_code(code), random);
    ASSERT_EQ(cut.code(), code < 0 ? -magnitude : magnitude) << code << ", seed " << seed;
  }
}

/// 33 and more bits are dropped: the first 32 of them decide.
TEST(FixedStochastic, LongFractionsAreCutTo32Bits) {
  using From = Fixed<64, 8>;
  using To = Fixed<8, 8>;
  const auto up = [](std::int64_t fraction, std::uint32_t random) {
    const auto number = From::from_code(fraction), negative = From::from_code(-fraction);
    EXPECT_EQ(To::stochastic(negative, random).code(), -To::stochastic(number, random).code());
    return To::stochastic(number, random).code() == 1;
  };
  const auto seed = std::random_device{}();
  std::mt19937_64 generator(seed);
  for (int i = 0; i < 100000; ++i) {
    const auto fraction = static_cast<std::int64_t>(generator() >> 8);  // of 2^56
    const auto first = static_cast<std::uint32_t>(fraction >> 24);
    ASSERT_FALSE(up(fraction, first)) << fraction << ", seed " << seed;
    if (first > 0) {
      ASSERT_TRUE(up(fraction, first - 1)) << fraction << ", seed " << seed;
    }
  }
  EXPECT_FALSE(up((std::int64_t{1} << 24) - 1, 0));  // below 2^−32
  EXPECT_TRUE(up(std::int64_t{1} << 24, 0));
}

TEST(FixedStochastic, DoublesOfAnyMagnitude) {
  using T = Fixed<16, 8, Quantisation::nearest_even, Overflow::saturate>;
  EXPECT_EQ(T::stochastic(1e300, 0).code(), 32767);
  EXPECT_EQ(T::stochastic(-1e300, 0).code(), -32768);
  EXPECT_EQ((Fixed<16, 8>::stochastic(1e300, 0).code()), 0);
  for (const int sign : {-1, 1}) {
    const double step = sign * 0x1p-8;
    EXPECT_EQ(T::stochastic(sign * 1e-300, 0).code(), 0);
    EXPECT_EQ(T::stochastic(step * 0x1p-32, 0).code(), sign);
    EXPECT_EQ(T::stochastic(step * 0x1p-32, 1).code(), 0);
    EXPECT_EQ(T::stochastic(step * std::nextafter(0x1p-32, 0), 0).code(), 0);
    EXPECT_EQ(T::stochastic(step * std::nextafter(1.0, 0), 0xfffffffeu).code(), sign);
    EXPECT_EQ(T::stochastic(step * std::nextafter(1.0, 0), 0xffffffffu).code(), 0);
  }
}

TEST(FixedStochastic, IsReproducibleFromSeedAndStream) {
  using T = Fixed<4, 4>;
  const auto draw = [](std::uint32_t seed, std::uint32_t stream) {
    std::vector<int> codes;
    for (std::uint32_t i = 0; i < 256; ++i)
      codes.push_back(T::stochastic(2.5, random_bits(stream_key(seed, stream), i)).code());
    return codes;
  };
  EXPECT_EQ(draw(5, 1), draw(5, 1));
  EXPECT_NE(draw(5, 1), draw(5, 2));
  EXPECT_NE(draw(5, 1), draw(6, 1));
}

}  // namespace
}  // namespace dovetail::numeric
