// Twins of the FPGA engine's kernels: plain loops over whole arrays in the canonical layouts, equal
// to the card bit for bit in every format wXaY.
//
// Feature maps are [batch, channels, height, width] of values (not codes: a 1-bit activation is −1
// or +1), weights [out, in, kernel, kernel], without any padding lanes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "numeric/requantise.hpp"

namespace dovetail::reference {

/// Feature maps of integers; a dense layer's vectors have height and width 1.
struct IntegerMaps {
  int batch = 0, channels = 0, height = 1, width = 1;
  std::vector<std::int8_t> values;

  IntegerMaps(int n, int c, int h, int w)
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

/// From the accumulator of one output channel to its activation of `bits` bits.
struct IntegerActivation {
  // Of 8 bits, and of raw accumulators: bias, then the requantisation, clamped to `low` from below.
  std::int32_t bias = 0, multiplier = 0, shift = 1, low = numeric::int8_lowest;
  // Of 1, 2 or 4 bits: 2^bits − 1 ascending thresholds; `downwards` counts those not reached.
  std::vector<std::int32_t> thresholds;
  bool downwards = false;

  std::int8_t value(std::int32_t accumulator, int bits) const {
    if (bits == 8) return numeric::requantise(accumulator + bias, multiplier, shift, low);
    int reached = 0;
    for (const std::int32_t threshold : thresholds) reached += accumulator >= threshold ? 1 : 0;
    const int code = downwards ? static_cast<int>(thresholds.size()) - reached : reached;
    return static_cast<std::int8_t>(bits == 1 ? 2 * code - 1 : code);
  }
};

/// Weights and activations of a convolution or, with kernel = 1, of a dense layer.
struct IntegerFilter {
  int in = 0, out = 0, kernel = 1;
  int bits = 8;                               // of the activations it gives
  std::vector<std::int8_t> weight;            // [out, in, kernel, kernel]
  std::vector<IntegerActivation> activation;  // [out]
};

/// uint8 pixels through one table of 256 a channel. tables [channels, 256].
inline void quantise_input(const std::uint8_t* pixels, const std::int8_t* tables,
                           IntegerMaps& output) {
  std::size_t i = 0;
  for (int n = 0; n < output.batch; ++n) {
    for (int c = 0; c < output.channels; ++c) {
      for (int p = 0; p < output.height * output.width; ++p, ++i)
        output.values[i] = tables[c * 256 + pixels[i]];
    }
  }
}

/// Σ w x of one output; positions outside the input count as 0.
inline std::int32_t accumulate(const IntegerMaps& input, const IntegerFilter& filter, int n,
                               int out, int top, int left) {
  std::int32_t sum = 0;
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

inline void conv2d(const IntegerMaps& input, const IntegerFilter& filter, int stride, int padding,
                   IntegerMaps& output) {
  for (int n = 0; n < output.batch; ++n) {
    for (int out = 0; out < output.channels; ++out) {
      const IntegerActivation& activation = filter.activation[static_cast<std::size_t>(out)];
      for (int y = 0; y < output.height; ++y) {
        for (int x = 0; x < output.width; ++x) {
          const std::int32_t sum =
              accumulate(input, filter, n, out, y * stride - padding, x * stride - padding);
          output.at(n, out, y, x) = activation.value(sum, filter.bits);
        }
      }
    }
  }
}

/// Dense layer: maps are taken flattened as [channels, height, width].
inline void dense(const IntegerMaps& input, const IntegerFilter& filter, IntegerMaps& output) {
  IntegerMaps flat(input.batch, filter.in, 1, 1);
  flat.values = input.values;
  conv2d(flat, filter, 1, 0, output);
}

/// Dense layer that leaves its accumulators, with their bias. raw [batch, out].
inline void dense_raw(const IntegerMaps& input, const IntegerFilter& filter,
                      std::vector<std::int32_t>& raw) {
  IntegerMaps flat(input.batch, filter.in, 1, 1);
  flat.values = input.values;
  raw.clear();
  for (int n = 0; n < input.batch; ++n) {
    for (int out = 0; out < filter.out; ++out) {
      raw.push_back(accumulate(flat, filter, n, out, 0, 0) +
                    filter.activation[static_cast<std::size_t>(out)].bias);
    }
  }
}

/// Maxima over windows without padding.
inline void max_pool(const IntegerMaps& input, int kernel, int stride, IntegerMaps& output) {
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
