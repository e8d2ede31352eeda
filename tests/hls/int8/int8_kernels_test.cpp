// Every int8 kernel against its twin, bit for bit, on random shapes and inputs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "ops/reference/int8.hpp"
#include "word.hpp"

namespace dovetail {
namespace {

using int8::Burst;
using reference::Int8Filter;
using reference::Int8Maps;

extern "C" {
void conv2d_int8(const Burst*, const Burst*, const Burst*, Burst*, std::int32_t, std::int32_t,
                 std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
                 std::int32_t);
void dense_int8(const Burst*, const Burst*, const Burst*, Burst*, std::int32_t, std::int32_t,
                std::int32_t, std::int32_t, std::int32_t);
void max_pool_int8(const Burst*, Burst*, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
                   std::int32_t, std::int32_t);
void quantise_input_int8(const Burst*, const Burst*, Burst*, std::int32_t, std::int32_t,
                         std::int32_t, std::int32_t);
}

std::mt19937 generator(7);

int between(int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(generator);
}

/// A value of ±limit every fourth time, else anything between.
std::int8_t int8_value(int lowest) {
  switch (between(0, 7)) {
    case 0:
      return 127;
    case 1:
      return static_cast<std::int8_t>(lowest);
    default:
      return static_cast<std::int8_t>(between(lowest, 127));
  }
}

Int8Maps random_maps(int batch, int channels, int height, int width) {
  Int8Maps maps(batch, channels, height, width);
  for (auto& value : maps.values) value = int8_value(-128);
  return maps;
}

Int8Filter random_filter(int in, int out, int kernel) {
  Int8Filter filter;
  filter.in = in;
  filter.out = out;
  filter.kernel = kernel;
  filter.relu = between(0, 1) == 1;
  filter.weight.resize(static_cast<std::size_t>(out * in * kernel * kernel));
  for (auto& value : filter.weight) value = int8_value(-127);
  for (int o = 0; o < out; ++o) {
    filter.bias.push_back(between(-50000, 50000));
    filter.multiplier.push_back(between(1 << 30, INT32_MAX));
    filter.shift.push_back(between(36, 46));
  }
  return filter;
}

/// Bytes of the card, filled with noise so that a kernel that leans on padding shows.
std::vector<Burst> noise(std::size_t bytes) {
  std::vector<Burst> memory((bytes + int8::burst_bytes - 1) / int8::burst_bytes);
  for (Burst& burst : memory) {
    for (auto& byte : burst.byte) byte = static_cast<std::int8_t>(between(-128, 127));
  }
  return memory;
}

std::int8_t& byte_of(std::vector<Burst>& memory, std::size_t i) {
  return memory[i / int8::burst_bytes].byte[i % int8::burst_bytes];
}

std::size_t card_index(int n, int y, int x, int c, int height, int width, int channels) {
  return static_cast<std::size_t>(n * int8::image_bytes(height, width, channels) +
                                  y * int8::row_bytes(width, channels) + x * channels + c);
}

/// Maps as they lie on the card, `stored` channels a pixel.
std::vector<Burst> on_card(const Int8Maps& maps, int stored) {
  std::vector<Burst> memory = noise(
      static_cast<std::size_t>(maps.batch * int8::image_bytes(maps.height, maps.width, stored)));
  for (int n = 0; n < maps.batch; ++n) {
    for (int c = 0; c < maps.channels; ++c) {
      for (int y = 0; y < maps.height; ++y) {
        for (int x = 0; x < maps.width; ++x) {
          byte_of(memory, card_index(n, y, x, c, maps.height, maps.width, stored)) =
              maps.at(n, c, y, x);
        }
      }
    }
  }
  return memory;
}

Int8Maps from_card(std::vector<Burst>& memory, int batch, int channels, int height, int width,
                   int stored) {
  Int8Maps maps(batch, channels, height, width);
  for (int n = 0; n < batch; ++n) {
    for (int c = 0; c < channels; ++c) {
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
          maps.at(n, c, y, x) = byte_of(memory, card_index(n, y, x, c, height, width, stored));
        }
      }
    }
  }
  return maps;
}

/// Weights as numeric/int8_layout.hpp describes them, from [out, in, rows, columns].
std::vector<Burst> weights_on_card(const Int8Filter& filter, int rows, int columns, int in,
                                   int stored) {
  const int row_words = int8::divide_up(columns * stored, int8::simd);
  const int words = rows * row_words;
  std::vector<Burst> memory(static_cast<std::size_t>(int8::tiles(filter.out) * words *
                                                     int8::weight_word_bytes / int8::burst_bytes),
                            Burst{});
  std::size_t i = 0;
  for (int out = 0; out < filter.out; ++out) {
    for (int c = 0; c < in; ++c) {
      for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; ++column, ++i) {
          const int at = column * stored + c;
          const int word = out / int8::pe * words + row * row_words + at / int8::simd;
          byte_of(memory, static_cast<std::size_t>(
                              (word * int8::simd + at % int8::simd) * int8::pe + out % int8::pe)) =
              filter.weight[i];
        }
      }
    }
  }
  return memory;
}

void put_int32(std::vector<Burst>& memory, std::size_t index, std::int32_t value) {
  for (std::size_t b = 0; b < 4; ++b) {
    byte_of(memory, index * 4 + b) = static_cast<std::int8_t>(
        static_cast<std::uint8_t>(static_cast<std::uint32_t>(value) >> (8 * b)));
  }
}

std::vector<Burst> parameters_on_card(const Int8Filter& filter) {
  const int tiles = int8::tiles(filter.out);
  std::vector<Burst> memory(
      static_cast<std::size_t>(tiles * int8::parameter_tile_bytes / int8::burst_bytes), Burst{});
  for (int out = 0; out < tiles * int8::pe; ++out) {
    const auto base = static_cast<std::size_t>(out / int8::pe * 3 * int8::pe + out % int8::pe);
    const auto o = static_cast<std::size_t>(out);
    const bool real = out < filter.out;
    put_int32(memory, base, real ? filter.bias[o] : 0);
    put_int32(memory, base + int8::pe, real ? filter.multiplier[o] : 0);
    put_int32(memory, base + 2 * int8::pe, real ? filter.shift[o] : 1);
  }
  return memory;
}

TEST(Int8Kernels, Conv2dEqualsItsTwin) {
  for (int trial = 0; trial < 150; ++trial) {
    const int kernel = std::vector<int>{1, 2, 3, 5, 7}[static_cast<std::size_t>(between(0, 4))];
    const int stride = between(1, 3), padding = between(0, kernel - 1), batch = between(1, 5);
    const int height = between(kernel, 12), width = between(kernel, 17);
    const bool hidden = between(0, 1) == 1;  // hidden maps have padded channels, the input has not
    const int in = hidden ? between(1, 70) : between(1, 4),
              stored = hidden ? int8::stored_channels(in) : in;
    const Int8Filter filter = random_filter(in, between(1, 70), kernel);
    const Int8Maps input = random_maps(batch, in, height, width);
    Int8Maps expected(batch, filter.out, int8::output_extent(height, kernel, stride, padding),
                      int8::output_extent(width, kernel, stride, padding));
    reference::conv2d_int8(input, filter, stride, padding, expected);

    const int out_stored = int8::stored_channels(filter.out);
    std::vector<Burst> x = on_card(input, stored),
                       w = weights_on_card(filter, kernel, kernel, in, stored);
    std::vector<Burst> p = parameters_on_card(filter);
    std::vector<Burst> y = noise(static_cast<std::size_t>(
        batch * int8::image_bytes(expected.height, expected.width, out_stored)));
    conv2d_int8(x.data(), w.data(), p.data(), y.data(), batch, height, width, stored,
                int8::tiles(filter.out), kernel, stride, padding, filter.relu);
    ASSERT_EQ(from_card(y, batch, filter.out, expected.height, expected.width, out_stored).values,
              expected.values)
        << "kernel " << kernel << " stride " << stride << " padding " << padding << " in " << in
        << " out " << filter.out << " on " << height << " × " << width;
  }
}

TEST(Int8Kernels, ExtremeProductsDoNotWrap) {
  const int in = 320, kernel = 5;  // 8,000 products of −128 · ±127 an output
  for (const int weight : {127, -127}) {
    Int8Filter filter = random_filter(in, 3, kernel);
    filter.relu = false;
    for (auto& w : filter.weight) w = static_cast<std::int8_t>(weight);
    for (auto& bias : filter.bias) bias = weight > 0 ? -(1 << 30) : 1 << 30;
    for (auto& shift : filter.shift) shift = 54;
    Int8Maps input(1, in, 5, 5);
    for (auto& value : input.values) value = -128;
    Int8Maps expected(1, 3, 1, 1);
    reference::conv2d_int8(input, filter, 1, 0, expected);
    std::vector<Burst> x = on_card(input, in), w = weights_on_card(filter, kernel, kernel, in, in);
    std::vector<Burst> p = parameters_on_card(filter), y = noise(64);
    conv2d_int8(x.data(), w.data(), p.data(), y.data(), 1, 5, 5, in, 1, kernel, 1, 0, 0);
    EXPECT_EQ(from_card(y, 1, 3, 1, 1, int8::pe).values, expected.values);
    const auto sum = static_cast<double>(filter.bias[0]) - 128.0 * weight * 8000;
    const auto real = std::lround(sum * filter.multiplier[0] / 18014398509481984.0);  // 2^54
    EXPECT_EQ(expected.values[0], std::clamp<long>(real, -128, 127));
  }
}

TEST(Int8Kernels, DenseEqualsItsTwinOnVectorsAndOnMaps) {
  for (int trial = 0; trial < 100; ++trial) {
    const bool hidden = between(0, 1) == 1;
    const int channels = hidden ? between(1, 70) : between(1, 4),
              stored = hidden ? int8::stored_channels(channels) : channels;
    const int height = between(1, 5), width = between(1, 5), batch = between(1, 5);
    const Int8Filter filter = random_filter(channels * height * width, between(1, 140), 1);
    const Int8Maps input = random_maps(batch, channels, height, width);
    // The row padding of a map has columns of its own, whose weights are zero.
    std::vector<Burst> x = on_card(input, stored),
                       w = weights_on_card(filter, height, width, channels, stored);
    std::vector<Burst> p = parameters_on_card(filter);
    const int out_stored = int8::stored_channels(filter.out);
    const int words = int8::image_words(height, width, stored);

    Int8Maps expected(batch, filter.out, 1, 1);
    reference::dense_int8(input, filter, expected);
    std::vector<Burst> y =
        noise(static_cast<std::size_t>(batch * int8::image_bytes(1, 1, out_stored)));
    dense_int8(x.data(), w.data(), p.data(), y.data(), batch, words, int8::tiles(filter.out),
               filter.relu, 0);
    ASSERT_EQ(from_card(y, batch, filter.out, 1, 1, out_stored).values, expected.values);

    std::vector<std::int32_t> raw;
    reference::dense_int8_raw(input, filter, raw);
    std::vector<Burst> z = noise(static_cast<std::size_t>(batch * out_stored * 4));
    dense_int8(x.data(), w.data(), p.data(), z.data(), batch, words, int8::tiles(filter.out), 0, 1);
    for (int n = 0; n < batch; ++n) {
      for (int o = 0; o < filter.out; ++o) {
        std::uint32_t value = 0;
        for (int b = 3; b >= 0; --b) {
          value = value << 8 | static_cast<std::uint8_t>(byte_of(
                                   z, static_cast<std::size_t>((n * out_stored + o) * 4 + b)));
        }
        ASSERT_EQ(static_cast<std::int32_t>(value),
                  raw[static_cast<std::size_t>(n * filter.out + o)]);
      }
    }
  }
}

TEST(Int8Kernels, MaxPoolEqualsItsTwin) {
  for (int trial = 0; trial < 100; ++trial) {
    const int kernel = between(1, 4), stride = between(1, 5), batch = between(1, 4),
              channels = between(1, 100);
    const int height = between(kernel, 13), width = between(kernel, 13),
              stored = int8::stored_channels(channels);
    const Int8Maps input = random_maps(batch, channels, height, width);
    Int8Maps expected(batch, channels, int8::output_extent(height, kernel, stride, 0),
                      int8::output_extent(width, kernel, stride, 0));
    reference::max_pool_int8(input, kernel, stride, expected);
    std::vector<Burst> x = on_card(input, stored);
    std::vector<Burst> y = noise(static_cast<std::size_t>(
        batch * int8::image_bytes(expected.height, expected.width, stored)));
    max_pool_int8(x.data(), y.data(), batch, height, width, stored, kernel, stride);
    ASSERT_EQ(from_card(y, batch, channels, expected.height, expected.width, stored).values,
              expected.values)
        << "kernel " << kernel << " stride " << stride << " on " << height << " × " << width;
  }
}

TEST(Int8Kernels, QuantiseInputEqualsItsTwin) {
  for (int trial = 0; trial < 60; ++trial) {
    const int batch = between(1, 5), channels = between(1, 4), height = between(1, 33),
              width = between(1, 33);
    const int image = channels * height * width;
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(batch * image));
    for (auto& pixel : pixels) pixel = static_cast<std::uint8_t>(between(0, 255));
    std::vector<Burst> tables = noise(static_cast<std::size_t>(channels * 256));
    std::vector<std::int8_t> table_bytes;
    for (int i = 0; i < channels * 256; ++i)
      table_bytes.push_back(byte_of(tables, static_cast<std::size_t>(i)));
    Int8Maps expected(batch, channels, height, width);
    reference::quantise_input_int8(pixels.data(), table_bytes.data(), expected);

    const int staged = int8::round_up(image, int8::burst_bytes);
    std::vector<Burst> x = noise(static_cast<std::size_t>(batch * staged));
    for (int n = 0; n < batch; ++n) {
      for (int i = 0; i < image; ++i) {
        byte_of(x, static_cast<std::size_t>(n * staged + i)) =
            static_cast<std::int8_t>(pixels[static_cast<std::size_t>(n * image + i)]);
      }
    }
    std::vector<Burst> y =
        noise(static_cast<std::size_t>(batch * int8::image_bytes(height, width, channels)));
    quantise_input_int8(x.data(), tables.data(), y.data(), batch, channels, height, width);
    ASSERT_EQ(from_card(y, batch, channels, height, width, channels).values, expected.values);
  }
}

}  // namespace
}  // namespace dovetail
