// Scales by the format's rule; codes by rounding.
#include "quant/weight_codes.hpp"

#include <algorithm>
#include <cmath>

namespace dovetail::quant {
namespace {

constexpr int starts = 16;
constexpr int rounds = 2;

struct Fit {
  double scale = 0;  // least squares for the codes that the tried scale gives
  double error = 0;  // Σ (w − scale · code)², less Σ w²
};

Fit refit(std::span<const float> weights, double scale, const numeric::ElementFormat& format) {
  const auto inverse = static_cast<float>(1 / scale);
  const auto lowest = static_cast<float>(format.lowest),
             highest = static_cast<float>(format.highest);
  double products = 0, squares = 0;
  for (const float weight : weights) {
    // Truncation of a positive number rounds as compilers can do it many at a time.
    const float clamped = std::min(std::max(weight * inverse, lowest), highest);
    const int code = static_cast<int>(clamped - lowest + 0.5F) + format.lowest;
    products += double{weight} * code;
    squares += code * code;
  }
  if (!(products > 0)) return {scale, 0};  // all codes are zero
  return {products / squares, -products * products / squares};
}

double least_squares_scale(std::span<const float> weights, double largest,
                           const numeric::ElementFormat& format) {
  double best = largest / format.highest, least = 0;
  for (int start = 0; start < starts; ++start) {
    double scale = largest / format.highest * std::exp2(-start * 0.125);
    for (int round = 0; round < rounds; ++round) {
      const Fit fit = refit(weights, scale, format);
      scale = fit.scale;
      if (fit.error < least) {
        least = fit.error;
        best = scale;
      }
    }
  }
  return best;
}

}  // namespace

double choose_scale(std::span<const float> weights, const numeric::ElementFormat& format) {
  double largest = 0, sum = 0;
  for (const float weight : weights) {
    largest = std::max(largest, std::abs(double{weight}));
    sum += std::abs(double{weight});
  }
  if (!(largest > 0)) return 1;
  if (format.kind == numeric::ElementKind::binary) return sum / static_cast<double>(weights.size());
  if (format.bits == 8) return largest / format.highest;
  return least_squares_scale(weights, largest, format);
}

WeightCodes weight_codes(std::span<const float> weights, const numeric::ElementFormat& format,
                         double scale) {
  WeightCodes result{scale, {}};
  result.codes.reserve(weights.size());
  const bool binary = format.kind == numeric::ElementKind::binary;
  for (const float weight : weights) {
    const double code = binary ? (weight < 0 ? -1.0 : 1.0)
                               : std::clamp(std::round(double{weight} / scale),
                                            double(format.lowest), double(format.highest));
    result.codes.push_back(static_cast<std::int8_t>(code));
  }
  return result;
}

}  // namespace dovetail::quant
