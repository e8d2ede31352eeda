// Thresholds and factors against the real law that they stand for.
#include "quant/channel_law.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "numeric/requantise.hpp"

namespace dovetail::quant {
namespace {

int code_of(const Channel& channel, std::int32_t accumulator) {
  const auto reached = std::count_if(channel.thresholds.begin(), channel.thresholds.end(),
                                     [&](std::int32_t t) { return accumulator >= t; });
  const auto levels = static_cast<long>(channel.thresholds.size());
  return static_cast<int>(channel.downwards ? levels - reached : reached);
}

TEST(ChannelLaw, ThresholdsGiveTheNearestCodeOfEveryAccumulator) {
  std::mt19937 random(std::random_device{}());
  std::uniform_real_distribution<double> real(-1, 1);
  for (int trial = 0; trial < 300; ++trial) {
    const Affine affine = {real(random) * 0.1, real(random) * 5};
    const double step = 0.1 + std::abs(real(random));
    for (const int bits : {1, 2, 4}) {
      const bool sign = bits == 1 && trial % 2 == 0;
      const Channel channel = channel_law(affine, bits, {step, 0, sign ? 0 : step / 2, 0});
      ASSERT_TRUE(std::is_sorted(channel.thresholds.begin(), channel.thresholds.end()));
      for (std::int32_t accumulator = -300; accumulator <= 300; ++accumulator) {
        const double y = affine.unit * accumulator + affine.constant;
        const double nearest = std::floor(y / step + 0.5);
        const int expected =
            sign ? (y >= 0 ? 1 : 0) : static_cast<int>(std::clamp(nearest, 0.0, (1 << bits) - 1.0));
        const double tie =
            sign ? std::abs(y) : std::abs(y / step + 0.5 - std::round(y / step + 0.5));
        if (tie < 1e-9) continue;  // either code is as near
        ASSERT_EQ(code_of(channel, accumulator), expected) << "a" << bits;
      }
    }
  }
}

TEST(ChannelLaw, TiesGoUpwards) {
  EXPECT_EQ(code_of(channel_law({0.5, 0}, 2, {1, 0, 0.5, 0}), 1), 1);    // y = 1/2
  EXPECT_EQ(code_of(channel_law({-0.5, 0}, 2, {1, 0, 0.5, 0}), -3), 2);  // y = 3/2
  EXPECT_EQ(code_of(channel_law({1, 0}, 1, {1, 0, 0, 0}), 0), 1);        // sign(0) = +1
  EXPECT_EQ(code_of(channel_law({-1, 0}, 1, {1, 0, 0, 0}), 0), 1);
}

TEST(ChannelLaw, AChannelWithoutGainGivesItsConstant) {
  const Channel two = channel_law({0, 1.6}, 2, {1, 0, 0.5, 0});
  const Channel byte = channel_law({0, 1.6}, 8, {1, 0, 0.5, 0});
  for (const std::int32_t accumulator : {-1000000, 0, 1000000}) {
    EXPECT_EQ(code_of(two, accumulator), 2);
    EXPECT_EQ(
        numeric::requantise(accumulator + byte.bias, byte.factor.multiplier, byte.factor.shift, 0),
        2);
  }
}

TEST(ChannelLaw, FactorsOfEitherSignRoundTheRealValue) {
  std::mt19937 random(std::random_device{}());
  std::uniform_real_distribution<double> real(-1, 1);
  for (int trial = 0; trial < 1000; ++trial) {
    const Affine affine = {real(random) * 0.1, real(random) * 5};
    const double step = 0.05 + std::abs(real(random));
    const Channel channel = channel_law(affine, 8, {step, 0, 0, 0});
    const auto accumulator = static_cast<std::int32_t>(real(random) * 2000);
    const int got = numeric::requantise(accumulator + channel.bias, channel.factor.multiplier,
                                        channel.factor.shift, -128);
    // The bias is rounded to a step of the accumulator.
    const double y = (affine.unit * accumulator + affine.constant) / step;
    const double slack = 0.51 + std::abs(affine.unit) / step / 2;
    ASSERT_NEAR(got, std::clamp(y, -128.0, 127.0), slack);
  }
}

TEST(ChannelLaw, IdleChannelsGiveZero) {
  for (const int bits : {1, 2, 4}) {
    for (const std::int32_t accumulator : {-(1 << 30), 0, 1 << 30})
      EXPECT_EQ(code_of(idle_channel(bits), accumulator), 0);
  }
  const Channel byte = idle_channel(8);
  EXPECT_EQ(numeric::requantise(1 << 30, byte.factor.multiplier, byte.factor.shift, -128), 0);
}

}  // namespace
}  // namespace dovetail::quant
