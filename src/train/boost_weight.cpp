// Measures in float64, averages, and solves for the weight.
#include "train/boost_weight.hpp"

#include <algorithm>
#include <cmath>

namespace dovetail {
namespace {

constexpr double memory = 10;  // measurements

}  // namespace

BoostMeasurement measure_boost(std::span<const float> own, double own_samples,
                               std::span<const float> reference, std::span<const float> contributed,
                               double samples) {
  double gf = 0, ff = 0, bf = 0, bb = 0, apart = 0;
  for (std::size_t i = 0; i < own.size(); ++i) {
    const double g = own[i] / own_samples, f = reference[i] / samples, b = contributed[i] / samples;
    gf += g * f;
    ff += f * f;
    bf += b * f;
    bb += b * b;
    apart += (g - f) * (g - f);
  }
  BoostMeasurement measurement;
  measurement.noise = apart / (1 / own_samples + 1 / samples);
  measurement.signal = gf;
  if (ff > 0) {
    measurement.norm_ratio = std::sqrt(bb / ff);
    measurement.error = std::max(0.0, bb - bf * bf / ff);
    if (bb > 0) measurement.cosine = bf / std::sqrt(bb * ff);
  }
  return measurement;
}

void BoostWeight::add(const BoostMeasurement& measurement, double samples) {
  ++count_;
  const double part = std::max(1 / static_cast<double>(count_), 1 / memory);
  const auto blend = [&](double& mean, double value) { mean += part * (value - mean); };
  blend(noise_, measurement.noise);
  blend(signal_, measurement.signal);
  blend(error_, measurement.error);
  blend(alpha_, measurement.cosine * measurement.norm_ratio);
  blend(samples_, samples);
  cosine_sum_ += measurement.cosine;
  ratio_sum_ += measurement.norm_ratio;
}

double BoostWeight::weight() const {
  if (fixed_) return *fixed_;
  if (count_ == 0) return 1;
  // A gradient that points away from the float32 one is of no use, whatever the formula.
  if (alpha_ <= 0) return 0;
  const double signal = std::max(0.0, signal_);  // an estimate may be negative, |G|² is not
  const double b =
      alpha_ * alpha_ * noise_ / samples_ + (1 - alpha_) * (1 - alpha_) * signal + error_;
  return b > 0 ? std::clamp(noise_ / (samples_ * b), 0.0, 1.0) : 1.0;
}

}  // namespace dovetail
