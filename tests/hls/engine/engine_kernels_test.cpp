// Every kernel of the engine against its twin, bit for bit, on random shapes and inputs in every
// format.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "hls/engine/card_memory.hpp"

namespace dovetail::engine {
namespace {

using reference::IntegerActivation;
using reference::IntegerFilter;
using reference::IntegerMaps;

using Conv2dKernel = void(const Burst*, const Burst*, const Burst*, Burst*, std::int32_t,
                          std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
                          std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
                          std::int32_t);
using DenseKernel = void(const Burst*, const Burst*, const Burst*, Burst*, std::int32_t,
                         std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
                         std::int32_t, std::int32_t);
extern "C" {
Conv2dKernel conv2d_w1, conv2d_w2, conv2d_w4, conv2d_w8;
DenseKernel dense_w1, dense_w2, dense_w4, dense_w8;
void max_pool(const Burst*, Burst*, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
              std::int32_t, std::int32_t, std::int32_t);
void quantise_input(const Burst*, const Burst*, Burst*, std::int32_t, std::int32_t, std::int32_t);
}

/// Weights of one format and the kernels for them.
struct Weights {
  const char* name;
  int bits, lowest, highest;
  Conv2dKernel* conv2d;
  DenseKernel* dense;
};

const Weights all_weights[] = {{"w1", 1, -1, 1, conv2d_w1, dense_w1},
                               {"wt", 2, -1, 1, conv2d_w2, dense_w2},
                               {"w2", 2, -2, 1, conv2d_w2, dense_w2},
                               {"w4", 4, -7, 7, conv2d_w4, dense_w4},
                               {"w8", 8, -127, 127, conv2d_w8, dense_w8}};
const int widths[] = {1, 2, 4, 8};

class EngineKernels : public testing::TestWithParam<Weights> {
 protected:
  EngineKernels() : seed_(std::random_device{}()), random_(seed_) {}
  void TearDown() override {
    if (HasFailure()) std::printf("seed %u\n", seed_);
  }

  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  template <typename T, std::size_t N>
  T one_of(const T (&choices)[N]) {
    return choices[static_cast<std::size_t>(between(0, static_cast<int>(N) - 1))];
  }

  /// An end of the range every fourth time, else anything between.
  std::int8_t value(int lowest, int highest) {
    const int dice = between(0, 7);
    return static_cast<std::int8_t>(dice == 0   ? highest
                                    : dice == 1 ? lowest
                                                : between(lowest, highest));
  }
  IntegerMaps random_maps(int bits, int batch, int channels, int height, int width) {
    IntegerMaps maps(batch, channels, height, width);
    for (auto& x : maps.values) {
      x = bits == 1   ? static_cast<std::int8_t>(2 * between(0, 1) - 1)
          : bits == 8 ? value(-128, 127)
                      : value(0, levels(bits));
    }
    return maps;
  }
  /// Laws whose levels all occur for accumulators of this spread.
  IntegerActivation random_law(int bits, int spread) {
    IntegerActivation law;
    if (bits < 8) {
      for (int t = 0; t < levels(bits); ++t) law.thresholds.push_back(between(-spread, spread));
      std::sort(law.thresholds.begin(), law.thresholds.end());
      if (between(0, 5) == 0) law.thresholds.back() = INT32_MAX;
      law.downwards = between(0, 2) == 0;
      return law;
    }
    law.bias = between(-spread, spread);
    law.multiplier = between(1 << 30, INT32_MAX) * (between(0, 3) == 0 ? -1 : 1);
    law.shift = 24;  // takes `spread` to about 127
    while (spread >> (law.shift - 23) > 0) ++law.shift;
    law.low = low_;
    return law;
  }
  IntegerFilter random_filter(int in, int out, int kernel, int in_bits, int out_bits) {
    const Weights& weights = GetParam();
    low_ = between(0, 1) == 1 ? 0 : -128;
    IntegerFilter filter{in, out, kernel, out_bits, {}, {}};
    for (int i = 0; i < out * in * kernel * kernel; ++i) {
      filter.weight.push_back(weights.bits == 1 ? static_cast<std::int8_t>(2 * between(0, 1) - 1)
                                                : value(weights.lowest, weights.highest));
    }
    const double lanes = std::sqrt(static_cast<double>(in * kernel * kernel));
    const int spread =
        1 + static_cast<int>(lanes * weights.highest * (in_bits == 8 ? 127 : levels(in_bits)));
    for (int o = 0; o < out; ++o) filter.activation.push_back(random_law(out_bits, spread));
    return filter;
  }

  unsigned seed_;
  std::mt19937 random_;
  std::int32_t low_ = 0;
};

TEST_P(EngineKernels, Conv2dEqualsItsTwin) {
  const int kernels[] = {1, 2, 3, 5, 7};
  for (int trial = 0; trial < 60; ++trial) {
    const int kernel = one_of(kernels), stride = between(1, 3), padding = between(0, kernel - 1);
    const int batch = between(1, 5), height = between(kernel, 12), width = between(kernel, 17);
    const bool hidden = between(0, 2) > 0;  // hidden maps have padded channels, the input has not
    const int in_bits = hidden ? one_of(widths) : 8, out_bits = one_of(widths);
    const int in = hidden ? between(1, 70) : between(1, 4);
    const int stored = hidden ? stored_channels(in) : in;
    const IntegerFilter filter = random_filter(in, between(1, 70), kernel, in_bits, out_bits);
    const IntegerMaps input = random_maps(in_bits, batch, in, height, width);
    IntegerMaps expected(batch, filter.out, output_extent(height, kernel, stride, padding),
                         output_extent(width, kernel, stride, padding));
    IntegerMaps got = expected;
    reference::conv2d(input, filter, stride, padding, expected);

    CardMemory x = on_card(input, stored, in_bits, random_);
    CardMemory w = weights_on_card(filter, kernel, kernel, in, stored, GetParam().bits, random_);
    CardMemory p = parameters_on_card(filter, out_bits, random_);
    const int out_stored = stored_channels(filter.out);
    CardMemory y(size(batch * image_bytes(expected.height, expected.width, out_stored, out_bits)),
                 random_);
    GetParam().conv2d(x.data(), w.data(), p.data(), y.data(), batch, height, width, stored, in,
                      tiles(filter.out), kernel, stride, padding, in_bits, out_bits, low_);
    from_card(y, out_stored, out_bits, got);
    ASSERT_EQ(got.values, expected.values)
        << "a" << in_bits << " to a" << out_bits << " kernel " << kernel << " stride " << stride
        << " padding " << padding << " in " << in << " out " << filter.out << " on " << height
        << " × " << width;
  }
}

TEST_P(EngineKernels, DenseEqualsItsTwinOnVectorsAndOnMaps) {
  for (int trial = 0; trial < 40; ++trial) {
    const bool hidden = between(0, 2) > 0;
    const int in_bits = hidden ? one_of(widths) : 8, out_bits = one_of(widths);
    const int channels = hidden ? between(1, 70) : between(1, 4);
    const int stored = hidden ? stored_channels(channels) : channels;
    const int height = between(1, 5), width = between(1, 5), batch = between(1, 9);
    const IntegerFilter filter =
        random_filter(channels * height * width, between(1, 140), 1, in_bits, out_bits);
    const IntegerMaps input = random_maps(in_bits, batch, channels, height, width);
    CardMemory x = on_card(input, stored, in_bits, random_);
    CardMemory w =
        weights_on_card(filter, height, width, channels, stored, GetParam().bits, random_);
    const int out_stored = stored_channels(filter.out);
    const auto run = [&](int bits, CardMemory& p, CardMemory& y) {
      GetParam().dense(x.data(), w.data(), p.data(), y.data(), batch, height * width, stored,
                       channels, tiles(filter.out), in_bits, bits, low_);
    };

    IntegerMaps expected(batch, filter.out, 1, 1);
    IntegerMaps got = expected;
    reference::dense(input, filter, expected);
    CardMemory p = parameters_on_card(filter, out_bits, random_);
    CardMemory y(size(batch * image_bytes(1, 1, out_stored, out_bits)), random_);
    run(out_bits, p, y);
    from_card(y, out_stored, out_bits, got);
    ASSERT_EQ(got.values, expected.values) << "a" << in_bits << " to a" << out_bits;

    std::vector<std::int32_t> raw;
    reference::dense_raw(input, filter, raw);
    CardMemory q = parameters_on_card(filter, raw_bits, random_);
    CardMemory z(size(batch * image_bytes(1, 1, out_stored, raw_bits)), random_);
    run(raw_bits, q, z);
    for (int n = 0; n < batch; ++n) {
      for (int o = 0; o < filter.out; ++o)
        ASSERT_EQ(z.int32(size(n * out_stored + o)), raw[size(n * filter.out + o)]);
    }
  }
}

TEST_P(EngineKernels, ExtremeProductsDoNotWrap) {
  const int in = 320, kernel = 5;  // 8,000 of the largest products an output
  for (const int weight : {GetParam().lowest, GetParam().highest}) {
    IntegerFilter filter = random_filter(in, 3, kernel, 8, 8);
    for (auto& w : filter.weight) w = static_cast<std::int8_t>(weight);
    for (auto& law : filter.activation) {
      law = {weight > 0 ? -(1 << 30) : 1 << 30, INT32_MAX, 54, -128, {}, false};
    }
    IntegerMaps input(1, in, 5, 5);
    for (auto& x : input.values) x = -128;
    IntegerMaps expected(1, 3, 1, 1), got = expected;
    reference::conv2d(input, filter, 1, 0, expected);
    CardMemory x = on_card(input, in, 8, random_), p = parameters_on_card(filter, 8, random_);
    CardMemory w = weights_on_card(filter, kernel, kernel, in, in, GetParam().bits, random_);
    CardMemory y(64, random_);
    GetParam().conv2d(x.data(), w.data(), p.data(), y.data(), 1, 5, 5, in, in, 1, kernel, 1, 0, 8,
                      8, -128);
    from_card(y, pe, 8, got);
    EXPECT_EQ(got.values, expected.values);
    const auto sum = static_cast<double>(filter.activation[0].bias) - 128.0 * weight * 8000;
    const auto real = std::lround(sum * INT32_MAX / 18014398509481984.0);  // 2^54
    EXPECT_EQ(expected.values[0], std::clamp<long>(real, -128, 127));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, EngineKernels, testing::ValuesIn(all_weights),
                         [](const auto& suite) { return std::string(suite.param.name); });

class FormatlessKernels : public EngineKernels {};

TEST_P(FormatlessKernels, MaxPoolEqualsItsTwin) {
  for (int trial = 0; trial < 200; ++trial) {
    const int bits = one_of(widths), kernel = between(1, 4), stride = between(1, 5);
    const int batch = between(1, 4), channels = between(1, 100), stored = stored_channels(channels);
    const int height = between(kernel, 13), width = between(kernel, 13);
    const IntegerMaps input = random_maps(bits, batch, channels, height, width);
    IntegerMaps expected(batch, channels, output_extent(height, kernel, stride, 0),
                         output_extent(width, kernel, stride, 0));
    IntegerMaps got = expected;
    reference::max_pool(input, kernel, stride, expected);
    CardMemory x = on_card(input, stored, bits, random_);
    CardMemory y(size(batch * image_bytes(expected.height, expected.width, stored, bits)), random_);
    max_pool(x.data(), y.data(), batch, height, width, stored, kernel, stride, bits);
    from_card(y, stored, bits, got);
    ASSERT_EQ(got.values, expected.values) << "a" << bits << " kernel " << kernel << " stride "
                                           << stride << " on " << height << " × " << width;
  }
}

TEST_P(FormatlessKernels, QuantiseInputEqualsItsTwin) {
  for (int trial = 0; trial < 60; ++trial) {
    const int batch = between(1, 5), channels = between(1, 4), height = between(1, 33),
              width = between(1, 33);
    const int image = channels * height * width;
    std::vector<std::uint8_t> pixels(size(batch * image));
    for (auto& pixel : pixels) pixel = static_cast<std::uint8_t>(between(0, 255));
    CardMemory tables(size(channels * 256), random_);
    std::vector<std::int8_t> table_bytes;
    for (int i = 0; i < channels * 256; ++i)
      table_bytes.push_back(static_cast<std::int8_t>(tables.byte(size(i))));
    IntegerMaps expected(batch, channels, height, width), got = expected;
    reference::quantise_input(pixels.data(), table_bytes.data(), expected);

    const int staged = round_up(image, burst_bytes);
    CardMemory x(size(batch * staged), random_), y(size(batch * staged), random_);
    for (int n = 0; n < batch; ++n) {
      for (int i = 0; i < image; ++i) x.byte(size(n * staged + i)) = pixels[size(n * image + i)];
    }
    quantise_input(x.data(), tables.data(), y.data(), batch, channels, height * width);
    from_card(y, channels, 8, got);
    ASSERT_EQ(got.values, expected.values);
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, FormatlessKernels, testing::Values(all_weights[0]),
                         [](const auto&) { return std::string("any"); });

}  // namespace
}  // namespace dovetail::engine
