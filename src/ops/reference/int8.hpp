// Twins of the int8 kernels: plain loops over whole arrays in the canonical layouts, equal to the
// card bit for bit.
//
// Feature maps are [batch, channels, height, width], weights [out, in, kernel, kernel], without any
// padding lanes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "numeric/requantise.hpp"

namespace dovetail::reference {

/// int8 feature maps; a dense layer's vectors have height and width 1.
struct Int8Maps {
  int batch = 0, channels = 0, height = 1, width = 1;
  std::vector<std::int8_t> values;

  Int8Maps(int n, int c, int h, int w)
      : batch(n),
        channels(c),
        height(h),
        width(w),
        values(static_cast<std::size_t>(n) * static_cast<std::size_t>(c) *
               static_cast<std::size_t>(h) * static_cast<std::size_t>(w)) {}
  std::size_t index(int n, int c, int y, int x) const {
    return ((static_cast<std::size_t>(n) * static_cast<std::size_t>(channels) +
             static_cast<std::size_t>(c)) *
                static_cast<std::size_t>(height) +
            static_cast<std::size_t>(y)) *
               static_cast<std::size_t>(width) +
           static_cast<std::size_t>(x);
  }
  std::int8_t at(int n, int c, int y, int x) const { return values[index(n, c, y, x)]; }
  std::int8_t& at(int n, int c, int y, int x) { return values[index(n, c, y, x)]; }
};

/// Weights and channel parameters of a convolution or, with kernel = 1, of a dense layer.
struct Int8Filter {
  int in = 0, out = 0, kernel = 1;
  std::vector<std::int8_t> weight;                    // [out, in, kernel, kernel]
  std::vector<std::int32_t> bias, multiplier, shift;  // [out]
  bool relu = false;
};

/// uint8 pixels through one table of 256 a channel. tables [channels, 256].
inline void quantise_input_int8(const std::uint8_t* pixels, const std::int8_t* tables,
                                Int8Maps& output) {
  std::size_t i = 0;
  for (int n = 0; n < output.batch; ++n) {
    for (int c = 0; c < output.channels; ++c) {
      for (int p = 0; p < output.height * output.width; ++p, ++i)
        output.values[i] = tables[c * 256 + pixels[i]];
    }
  }
}

/// The int32 accumulator, bias included, of one output; positions outside the input count as 0.
inline std::int32_t accumulate_int8(const Int8Maps& input, const Int8Filter& filter, int n, int out,
                                    int top, int left) {
  std::int32_t sum = filter.bias[static_cast<std::size_t>(out)];
  for (int c = 0; c < filter.in; ++c) {
    for (int i = 0; i < filter.kernel; ++i) {
      for (int j = 0; j < filter.kernel; ++j) {
        const int y = top + i, x = left + j;
        if (y < 0 || y >= input.height || x < 0 || x >= input.width) continue;
        const int weight = filter.weight[static_cast<std::size_t>(
            ((out * filter.in + c) * filter.kernel + i) * filter.kernel + j)];
        sum += weight * input.at(n, c, y, x);
      }
    }
  }
  return sum;
}

inline void conv2d_int8(const Int8Maps& input, const Int8Filter& filter, int stride, int padding,
                        Int8Maps& output) {
  const std::int32_t low = filter.relu ? 0 : numeric::int8_lowest;
  for (int n = 0; n < output.batch; ++n) {
    for (int out = 0; out < output.channels; ++out) {
      const auto o = static_cast<std::size_t>(out);
      for (int y = 0; y < output.height; ++y) {
        for (int x = 0; x < output.width; ++x) {
          const std::int32_t sum =
              accumulate_int8(input, filter, n, out, y * stride - padding, x * stride - padding);
          output.at(n, out, y, x) =
              numeric::requantise(sum, filter.multiplier[o], filter.shift[o], low);
        }
      }
    }
  }
}

/// Dense layer: maps are taken flattened as [channels, height, width].
inline void dense_int8(const Int8Maps& input, const Int8Filter& filter, Int8Maps& output) {
  Int8Maps flat(input.batch, filter.in, 1, 1);
  flat.values = input.values;
  conv2d_int8(flat, filter, 1, 0, output);
}

/// Dense layer that leaves its accumulators as they are. raw [batch, out].
inline void dense_int8_raw(const Int8Maps& input, const Int8Filter& filter,
                           std::vector<std::int32_t>& raw) {
  Int8Maps flat(input.batch, filter.in, 1, 1);
  flat.values = input.values;
  raw.clear();
  for (int n = 0; n < input.batch; ++n) {
    for (int out = 0; out < filter.out; ++out)
      raw.push_back(accumulate_int8(flat, filter, n, out, 0, 0));
  }
}

/// Maxima over windows without padding.
inline void max_pool_int8(const Int8Maps& input, int kernel, int stride, Int8Maps& output) {
  for (int n = 0; n < output.batch; ++n) {
    for (int c = 0; c < output.channels; ++c) {
      for (int y = 0; y < output.height; ++y) {
        for (int x = 0; x < output.width; ++x) {
          std::int8_t most = -128;
          for (int i = 0; i < kernel * kernel; ++i) {
            most = std::max(most, input.at(n, c, y * stride + i / kernel, x * stride + i % kernel));
          }
          output.at(n, c, y, x) = most;
        }
      }
    }
  }
}

}  // namespace dovetail::reference
