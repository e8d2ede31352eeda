// How quantisation-aware training rounds weights, activations and the network's input: the numbers
// that the low-bit inference engine computes with.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "numeric/format.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

/// A weight becomes step · code with one step per output channel:
///   integers   code = round(w / step), ties away from zero, clamped to lowest … highest;
///   binary     code = w < 0 ? −1 : +1.
/// The step follows the channel's weights: step = factor · (mean |w|, or the largest |w|). The
/// factors keep the mean squared error of normally distributed weights near its least: mean |w| is
/// exact for two levels (Rastegari et al. 2016, section 3.1), and a threshold of 0.75 · mean |w|
/// for three (Li and Liu 2016, section 2.2). Steps are treated as constants by the gradient.
struct WeightLaw {
  bool binary = false;
  int lowest = -127;
  int highest = 127;
  bool of_largest = true;
  float factor = 1.0f / 127.0f;
  bool operator==(const WeightLaw&) const = default;
};

/// An activation becomes
///   binary     −1 where x < 0, else +1;
///   integers   step · round(x / step) clamped to codes 0 … highest, with one step a layer.
struct ActivationLaw {
  bool binary = false;
  int highest = 127;
  bool operator==(const ActivationLaw&) const = default;
};

/// A step below this counts as this: a learned step may not reach zero.
inline constexpr float least_activation_step = 1e-6f;

/// Throws UsageError for weights other than binary, ternary and integers of 2, 4 or 8 bits.
inline WeightLaw weight_law(const numeric::ElementFormat& format) {
  using numeric::ElementKind;
  const auto of_mean = [&](float factor) {
    return WeightLaw{.binary = format.kind == ElementKind::binary,
                     .lowest = format.lowest,
                     .highest = format.highest,
                     .of_largest = false,
                     .factor = factor};
  };
  if (format.kind == ElementKind::binary) return of_mean(1.0f);
  if (format.kind == ElementKind::ternary) return of_mean(1.5f);
  if (format.kind == ElementKind::integer && format.bits == 2) return of_mean(1.25f);
  if (format.kind == ElementKind::integer && format.bits == 4) return of_mean(0.44f);
  if (format.kind == ElementKind::integer && format.bits == 8) return {};
  throw UsageError("quantisation-aware training has no such weights",
                   "Known formats: wXaY with X = 1, t, 2, 4, 8 and Y = 1, 2, 4, 8");
}

/// Throws UsageError for activations other than binary and integers of 2, 4 or 8 bits.
inline ActivationLaw activation_law(const numeric::ElementFormat& format) {
  using numeric::ElementKind;
  if (format.kind == ElementKind::binary) return {.binary = true, .highest = 1};
  if (format.kind == ElementKind::integer &&
      (format.bits == 2 || format.bits == 4 || format.bits == 8)) {
    return {.binary = false, .highest = format.highest};
  }
  throw UsageError("quantisation-aware training has no such activations",
                   "Known formats: wXaY with X = 1, t, 2, 4, 8 and Y = 1, 2, 4, 8");
}

/// The largest |(x / 255 − mean) / deviation| that a byte x can give: the range of the int8 input.
inline float largest_input(const std::vector<float>& mean, const std::vector<float>& deviation) {
  float largest = 0;
  for (std::size_t c = 0; c < mean.size(); ++c)
    largest = std::max(largest, std::max(std::abs(mean[c]), std::abs(1 - mean[c])) / deviation[c]);
  return largest;
}

/// The normalised input rounded to int8 codes of one scale, range / 127, as real values [channels,
/// 256]: the tables of quant::pack times their scale.
inline std::vector<float> quantised_input_table(const std::vector<float>& mean,
                                                const std::vector<float>& deviation) {
  const double scale = static_cast<double>(largest_input(mean, deviation)) / 127;
  std::vector<float> table;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    for (int x = 0; x < 256; ++x) {
      const double value =
          (x / 255.0 - static_cast<double>(mean[c])) / static_cast<double>(deviation[c]);
      table.push_back(
          static_cast<float>(scale * std::clamp(std::round(value / scale), -127.0, 127.0)));
    }
  }
  return table;
}

}  // namespace dovetail
