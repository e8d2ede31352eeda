// The codec of gradients against its twins: the number formats of numeric/, and plain float64.
#include "comm/gradient_codec.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "numeric/minifloat.hpp"
#include "support/error.hpp"
#include "support/random.hpp"

namespace dovetail {
namespace {

/// Every exponent, both signs, ties, and the edges of the formats.
std::vector<float> many_values(std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> values{0.0f,
                            -0.0f,
                            65504.0f,
                            65519.9f,
                            65520.0f,
                            1e5f,
                            -1e30f,
                            0x1p-14f,
                            0x1p-24f,
                            0x1p-25f,
                            0x1.8p-25f,
                            0x1p-26f,
                            1.0f + 0x1p-11f,
                            1.0f + 0x1p-8f,
                            1.0f + 3 * 0x1p-8f,
                            1.0f + 3 * 0x1p-11f,
                            0x1.ffcp-15f,
                            0x1.ffdp-15f,
                            0x1.ffep-15f,
                            1e-40f};
  for (int i = 0; i < 200000; ++i)
    values.push_back(numeric::float_of_bits(static_cast<std::uint32_t>(random.next() >> 32)));
  std::erase_if(values, [](float value) { return !std::isfinite(value); });
  return values;
}

std::vector<float> through(Compression compression, const std::vector<float>& values) {
  std::vector<std::byte> code(encoded_bytes(compression, values.size()));
  encode(compression, values, code);
  std::vector<float> decoded(values.size());
  decode(compression, code, decoded);
  return decoded;
}

TEST(GradientCodec, SixteenBitFormatsAreThoseOfTheNumericRoom) {
  using numeric::Encoding;
  using numeric::Excess;
  using numeric::Rounding;
  const std::vector<float> values = many_values(1);
  const std::vector<float> half = through(Compression::fp16, values);
  const std::vector<float> brain = through(Compression::bf16, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Encoding saturating(Rounding::nearest_even, Excess::saturate);
    const Encoding overflowing(Rounding::nearest_even, Excess::to_infinity);
    EXPECT_EQ(numeric::float_bits(half[i]),
              numeric::float_bits(numeric::Float16::encode(values[i], saturating).value()))
        << values[i];
    EXPECT_EQ(numeric::float_bits(brain[i]),
              numeric::float_bits(numeric::BFloat16::encode(values[i], overflowing).value()))
        << values[i];
  }
}

TEST(GradientCodec, EightBitsAreTheNearestMultipleOfEachBlocksScale) {
  SplitMix64 random(2);
  for (const std::size_t count : {1U, 255U, 256U, 257U, 5000U}) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i)
      values[i] = random.uniform(-1, 1) * std::pow(10.0f, static_cast<float>(i / int8_block) - 8);
    const std::vector<float> decoded = through(Compression::int8, values);
    for (std::size_t first = 0; first < count; first += int8_block) {
      const std::size_t end = std::min(first + int8_block, count);
      double largest = 0;
      for (std::size_t i = first; i < end; ++i)
        largest = std::max(largest, std::abs(static_cast<double>(values[i])));
      const double scale = largest / 127;
      for (std::size_t i = first; i < end; ++i) {
        const double steps = static_cast<double>(decoded[i]) / scale;
        EXPECT_NEAR(steps, std::round(steps), 1e-4);
        EXPECT_LE(std::abs(static_cast<double>(decoded[i]) - static_cast<double>(values[i])),
                  scale * (0.5 + 1e-4));
      }
    }
  }
  const std::vector<float> tiny(300, 1e-38f);
  EXPECT_EQ(through(Compression::int8, tiny), std::vector<float>(300, 0.0f));
}

TEST(GradientCodec, WhatIsNotFiniteStaysSo) {
  for (const Compression each :
       {Compression::none, Compression::bf16, Compression::fp16, Compression::int8}) {
    for (const float bad :
         {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
          std::numeric_limits<float>::quiet_NaN(), numeric::float_of_bits(0x7f800001u)}) {
      std::vector<float> values(600, 0.5f);
      values[300] = bad;
      EXPECT_FALSE(std::isfinite(through(each, values)[300])) << to_string(each);
      EXPECT_TRUE(std::isfinite(through(each, values)[0])) << to_string(each);
    }
  }
}

TEST(GradientCodec, FeedbackKeepsRunningSumsAndForgetsWhatIsNotFinite) {
  for (const Compression each : {Compression::bf16, Compression::fp16, Compression::int8}) {
    SplitMix64 random(3);
    constexpr std::size_t count = 700;
    std::vector<float> residual(count), values(count);
    std::vector<double> truth(count), coded(count), plain(count);
    std::vector<std::byte> code(encoded_bytes(each, count));
    for (int step = 0; step < 100; ++step) {
      for (std::size_t i = 0; i < count; ++i) {
        // A constant that the formats don't hit, and noise.
        values[i] = 0.3337f + 0.01f * random.uniform(-1, 1);
        truth[i] += static_cast<double>(values[i]);
      }
      const std::vector<float> alone = through(each, values);
      encode_with_feedback(each, values, residual, code);
      std::vector<float> decoded(count);
      decode(each, code, decoded);
      EXPECT_EQ(decoded, values) << "the sender sees what the others see";
      for (std::size_t i = 0; i < count; ++i) {
        coded[i] += static_cast<double>(decoded[i]);
        plain[i] += static_cast<double>(alone[i]);
      }
    }
    double worst = 0, worst_plain = 0;
    for (std::size_t i = 0; i < count; ++i) {
      worst = std::max(worst, std::abs(coded[i] + static_cast<double>(residual[i]) - truth[i]));
      worst_plain = std::max(worst_plain, std::abs(plain[i] - truth[i]));
    }
    EXPECT_LT(worst, 1e-5) << to_string(each) << ": the last residual is all that is missing";
    EXPECT_GT(worst_plain, 10 * worst) << to_string(each) << ": without feedback it drifts";
    values[5] = std::numeric_limits<float>::infinity();
    encode_with_feedback(each, values, residual, code);
    for (const float value : residual) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(GradientCodec, KnowsItsNames) {
  for (const char* name : {"none", "bf16", "fp16", "int8"})
    EXPECT_STREQ(to_string(parse_compression(name)), name);
  EXPECT_THROW(parse_compression("int4"), UsageError);
  EXPECT_EQ(encoded_bytes(Compression::int8, 257), 257 + 8u);
}

}  // namespace
}  // namespace dovetail
