// The rounding of magnitudes by its definition, and the random bits of stochastic rounding.
#include "numeric/rounding.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <set>

namespace dovetail::numeric {
namespace {

TEST(Rounding, EverySmallMagnitudeByTheDefinition) {
  for (std::uint32_t magnitude = 0; magnitude < 1024; ++magnitude) {
    for (int places = 0; places <= 12; ++places) {
      const double exact = std::ldexp(magnitude, -places);
      const auto law = [&](Rounding rounding, std::uint32_t random = 0) {
        return round_places(magnitude, places, rounding, random);
      };
      ASSERT_EQ(law(Rounding::toward_zero), std::floor(exact));
      ASSERT_EQ(law(Rounding::nearest_even), std::nearbyint(exact));
      ASSERT_EQ(law(Rounding::nearest_away), std::round(exact));
      const double fraction = std::ldexp(exact - std::floor(exact), 32);
      if (fraction > 0) {
        const auto threshold = static_cast<std::uint32_t>(fraction);
        ASSERT_EQ(law(Rounding::stochastic, threshold - 1), std::floor(exact) + 1);
        ASSERT_EQ(law(Rounding::stochastic, threshold), std::floor(exact));
      }
    }
  }
}

TEST(Rounding, LongShiftsLeaveNothing) {
  for (const std::uint32_t magnitude : {1u, 0x00ffffffu, 0xffffffffu}) {
    for (int places = 33; places <= 200; ++places) {
      EXPECT_EQ(round_places(magnitude, places, Rounding::nearest_even, 0), 0u);
      EXPECT_EQ(round_places(magnitude, places, Rounding::nearest_away, 0), 0u);
      EXPECT_EQ(round_places(magnitude, places, Rounding::stochastic, 0xffffffffu), 0u);
    }
  }
  EXPECT_EQ(round_places(0x80000000u, 32, Rounding::nearest_even, 0), 0u);
  EXPECT_EQ(round_places(0x80000001u, 32, Rounding::nearest_even, 0), 1u);
  EXPECT_EQ(round_places(0x80000000u, 32, Rounding::nearest_away, 0), 1u);
}

TEST(Rounding, StochasticRoundingIsUnbiased) {
  const std::uint32_t key = stream_key(2024, 7);
  const int draws = 1 << 20;
  for (const std::uint32_t magnitude : {1u, 5u, 8u, 13u, 15u}) {  // sixteenths
    int up = 0;
    for (int i = 0; i < draws; ++i) {
      up += static_cast<int>(round_places(magnitude, 4, Rounding::stochastic,
                                          random_bits(key, static_cast<std::uint32_t>(i))));
    }
    const double p = magnitude / 16.0;
    EXPECT_NEAR(up, draws * p, 5 * std::sqrt(draws * p * (1 - p))) << magnitude;
  }
}

/// To be kept: kernels in other languages repeat these very bits. The sum was computed in Python.
TEST(RandomBits, KnownAnswers) {
  EXPECT_EQ(mix(1), 0x514e28b7u);  // MurmurHash3's finaliser
  EXPECT_EQ(mix(0), 0u);
  std::uint32_t all = 0;
  for (std::uint32_t seed = 0; seed < 3; ++seed) {
    for (std::uint32_t stream = 0; stream < 3; ++stream) {
      for (std::uint32_t index = 0; index < 1000; ++index) {
        all = all * 31 + random_bits(stream_key(seed, stream), index);
      }
    }
  }
  EXPECT_EQ(all, 0xb4a03d16u);
}

TEST(RandomBits, EveryBitIsFairAndStreamsAreUncorrelated) {
  const int draws = 1 << 18;
  const double deviation = 5 * std::sqrt(draws * 0.25);
  for (const auto& [a, b] : {std::pair{stream_key(1, 0), stream_key(1, 1)},
                             std::pair{stream_key(1, 0), stream_key(2, 0)}}) {
    std::array<int, 32> ones{}, equal{}, next{};
    for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(draws); ++i) {
      const std::uint32_t x = random_bits(a, i), y = random_bits(b, i), z = random_bits(a, i + 1);
      for (std::size_t bit = 0; bit < 32; ++bit) {
        ones[bit] += static_cast<int>(x >> bit & 1);
        equal[bit] += static_cast<int>(~(x ^ y) >> bit & 1);
        next[bit] += static_cast<int>(~(x ^ z) >> bit & 1);
      }
    }
    for (std::size_t bit = 0; bit < 32; ++bit) {
      EXPECT_NEAR(ones[bit], draws / 2, deviation) << "bit " << bit;
      EXPECT_NEAR(equal[bit], draws / 2, deviation) << "bit " << bit;
      EXPECT_NEAR(next[bit], draws / 2, deviation) << "bit " << bit;
    }
  }
}

TEST(RandomBits, AStreamNeverRepeatsEarly) {
  std::set<std::uint32_t> seen;
  const std::uint32_t key = stream_key(3, 5);
  for (std::uint32_t i = 0; i < 1u << 16; ++i) seen.insert(random_bits(key, i));
  EXPECT_EQ(seen.size(), 1u << 16);  // index to bits is a bijection
}

}  // namespace
}  // namespace dovetail::numeric
