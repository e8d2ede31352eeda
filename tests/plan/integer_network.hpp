// A quantised network in the integers that an FPGA computes with, from its description alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "quant/network.hpp"

namespace dovetail::testing {

/// Integer codes [channels, height, width] with the real value of one step.
struct IntegerMap {
  std::vector<std::int64_t> codes;
  double step = 1;
};

inline std::int64_t code_of(double value, double step) {
  return step > 0 ? std::llround(value / step) : 0;
}

/// Steps between a value, itself in steps, and the nearest border of two codes.
inline double steps_to_border(double value, double lowest, double highest) {
  return std::abs(value - std::clamp(std::floor(value) + 0.5, lowest + 0.5, highest - 0.5));
}

struct IntegerResult {
  std::vector<double> logits;
  double nearest_border = 1;  // of the values that became codes: steps
};

/// The input through tables of int8 codes. `nearest_border`: as IntegerResult has it.
inline IntegerMap integer_input(const quant::Network& network, const std::uint8_t* image,
                                double& nearest_border) {
  IntegerMap map{{}, static_cast<double>(network.input_range) / 127};
  const int pixels = network.height * network.width;
  for (int i = 0; i < network.channels * pixels; ++i) {
    const auto c = static_cast<std::size_t>(i / pixels);
    const double value = (image[i] / 255.0 - static_cast<double>(network.input_mean[c])) /
                         static_cast<double>(network.input_deviation[c]);
    map.codes.push_back(std::clamp<std::int64_t>(code_of(value, map.step), -127, 127));
    nearest_border = std::min(nearest_border, steps_to_border(value / map.step, -127, 127));
  }
  return map;
}

/// The integer sum, or the largest integer, that output (out, y, x) sees.
inline std::int64_t accumulate(const quant::Layer& layer, const IntegerMap& in, int out, int y,
                               int x) {
  const bool pool = layer.kind == quant::LayerKind::max_pool;
  const bool dense = layer.kind == quant::LayerKind::dense;
  const int rows = dense ? layer.in_height : layer.kernel;
  const int columns = dense ? layer.in_width : layer.kernel;
  std::int64_t result = pool ? INT64_MIN : 0;
  for (int c = pool ? out : 0; c < (pool ? out + 1 : layer.in_channels); ++c) {
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) {
        const int v = y * layer.stride + i - layer.padding,
                  u = x * layer.stride + j - layer.padding;
        if (v < 0 || v >= layer.in_height || u < 0 || u >= layer.in_width) continue;
        const std::int64_t value =
            in.codes[static_cast<std::size_t>((c * layer.in_height + v) * layer.in_width + u)];
        if (pool) {
          result = std::max(result, value);
          continue;
        }
        const auto at =
            static_cast<std::size_t>(((out * layer.in_channels + c) * rows + i) * columns + j);
        result +=
            value * code_of(static_cast<double>(layer.weight[at]),
                            static_cast<double>(layer.weight_scale[static_cast<std::size_t>(out)]));
      }
    }
  }
  return result;
}

/// One image. @param highest code of a ReLU's output: 3, 15 or 127.
inline IntegerResult run_integers(const quant::Network& network, const std::uint8_t* image,
                                  int highest) {
  IntegerResult result;
  IntegerMap map = integer_input(network, image, result.nearest_border);
  for (const quant::Layer& layer : network.layers) {
    IntegerMap next{{},
                    layer.kind == quant::LayerKind::max_pool
                        ? map.step
                        : static_cast<double>(layer.output_step)};
    for (int out = 0; out < layer.out_channels; ++out) {
      const auto o = static_cast<std::size_t>(out);
      for (int y = 0; y < layer.out_height; ++y) {
        for (int x = 0; x < layer.out_width; ++x) {
          const std::int64_t sum = accumulate(layer, map, out, y, x);
          if (layer.kind == quant::LayerKind::max_pool) {
            next.codes.push_back(sum);
            continue;
          }
          double real =
              static_cast<double>(sum) * map.step * static_cast<double>(layer.weight_scale[o]) +
              static_cast<double>(layer.bias[o]);
          if (!layer.gain.empty()) {
            real = real * static_cast<double>(layer.gain[o]) + static_cast<double>(layer.offset[o]);
          }
          if (layer.activation == quant::Activation::none) {
            result.logits.push_back(real);
            continue;
          }
          const bool sign = layer.activation == quant::Activation::sign;
          next.codes.push_back(
              sign ? (real < 0 ? -1 : 1)
                   : std::clamp<std::int64_t>(code_of(real, next.step), 0, highest));
          result.nearest_border =
              std::min(result.nearest_border,
                       sign ? std::abs(real) : steps_to_border(real / next.step, 0, highest));
        }
      }
    }
    map = std::move(next);
  }
  return result;
}

}  // namespace dovetail::testing
