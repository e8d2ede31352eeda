// A kernel written with hls/host/numbers.hpp, compiled as C++14, against plain arithmetic.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

#include "numeric/numbers_kernel.hpp"
#include "numeric/rounding.hpp"

namespace dovetail {
namespace {

int wrap_to(int value, int bits) {
  const int span = 1 << bits, code = ((value % span) + span) % span;
  return code >= span / 2 ? code - span : code;
}

/// A product in steps of 2^−7, in steps of 2^−2 and 6 bits.
int by_chance(int product, std::uint32_t random) {
  const int down = std::abs(product) / 32, rest = std::abs(product) % 32;
  const int magnitude = down + (std::ldexp(rest, 27) > random ? 1 : 0);
  return wrap_to(product < 0 ? -magnitude : magnitude, 6);
}

TEST(Numbers, AKernelComputesWhatPlainArithmeticSays) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::int8_t x[numbers_kernel_max], w[numbers_kernel_max];
    const int count = 1 + static_cast<int>(random() % numbers_kernel_max);
    int dot = 0, clamped = 0, sum = 0, wrapped = 0, chances = 0;
    const std::uint32_t key = numeric::stream_key(numbers_kernel_seed, 0);
    for (int i = 0; i < count; ++i) {
      x[i] = static_cast<std::int8_t>(random());
      w[i] = static_cast<std::int8_t>(random() % 16 - 8);
      const int product = x[i] * w[i];  // in steps of 2^−7
      dot += product;
      clamped = std::clamp(clamped + product, -512, 511);
      sum = static_cast<int>(std::clamp(std::nearbyint(sum + product / 2.0), -2048.0, 2047.0));
      wrapped = wrap_to(static_cast<int>(std::ceil(wrapped + product / 8.0 - 0.5)), 9);
      const auto index = static_cast<std::uint32_t>(i);
      chances = wrap_to(chances + 4 * by_chance(product, numeric::random_bits(key, index)), 12);
    }
    std::int32_t out[numbers_kernel_outputs];
    numbers_on_host(x, w, count, out);
    ASSERT_EQ(out[0], wrap_to(dot, 14)) << "seed " << seed;
    ASSERT_EQ(out[1], clamped) << "seed " << seed;
    ASSERT_EQ(out[2], sum) << "seed " << seed;
    ASSERT_EQ(out[3], wrapped) << "seed " << seed;
    ASSERT_EQ(out[4], std::clamp(x[0] - w[0], -15, 15)) << "seed " << seed;
    ASSERT_EQ(out[5], -x[0] * 3 / 2 + wrap_to(w[0] * 2, 4)) << "seed " << seed;
    ASSERT_EQ(out[6], (x[0] & 0x7f) >> 1) << "seed " << seed;
    ASSERT_EQ(out[7], chances) << "seed " << seed;
  }
}

}  // namespace
}  // namespace dovetail
