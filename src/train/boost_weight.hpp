// How much a contributed gradient should count, from how far it is measured to be off.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace dovetail {

/// What one sampled step tells. Gradients are means over their samples.
///
/// With g of n samples in float32, and for m other samples f in float32 and b as contributed:
struct BoostMeasurement {
  double cosine = 0;      // of b and f
  double norm_ratio = 0;  // |b| / |f|
  double noise = 0;       // |g − f|² / (1/n + 1/m): unbiased for σ², one sample's variance
  double signal = 0;      // g · f: unbiased for |G|², G the true gradient
  double error = 0;       // |b − αf|², α = b·f / |f|²: what b has beside f's direction
};

/// @param own, own_samples  sum and number: this rank's float32 gradient.
/// @param reference, contributed  sums over the same `samples`.
BoostMeasurement measure_boost(std::span<const float> own, double own_samples,
                               std::span<const float> reference, std::span<const float> contributed,
                               double samples);

/// The weight w of a contributed sample relative to a float32 one, where the update's gradient is
/// (n g + w m b) / (n + w m).
///
/// Model: b = α f + e, with e of mean zero and independent of the sampling, as stochastic rounding
/// makes it. With θ = w m / (n + w m), the expected squared distance to G is
///   (1 − θ)² σ²/n + θ² B,   B = α² σ²/m + (1 − α)² |G|² + E|e|²,
/// least for θ = (σ²/n) / (σ²/n + B), that is
///   w = σ² / (m B),
/// whatever n. An exact contribution (α = 1, e = 0) gets w = 1; w is kept within [0, 1]. σ², |G|²,
/// α and E|e|² are running means over the measured steps, with a memory of some ten of them.
/// Until the first measurement w is 1.
class BoostWeight {
 public:
  /// @param fixed nullopt: follow the measurements.
  explicit BoostWeight(std::optional<double> fixed) : fixed_(fixed) {}

  /// @param samples m of the measured contribution.
  void add(const BoostMeasurement& measurement, double samples);
  double weight() const;
  std::size_t measurements() const { return count_; }
  double mean_cosine() const { return count_ == 0 ? 0 : cosine_sum_ / double(count_); }
  double mean_norm_ratio() const { return count_ == 0 ? 0 : ratio_sum_ / double(count_); }

 private:
  std::optional<double> fixed_;
  double noise_ = 0, signal_ = 0, error_ = 0, alpha_ = 0, samples_ = 0;  // running means
  double cosine_sum_ = 0, ratio_sum_ = 0;
  std::size_t count_ = 0;
};

}  // namespace dovetail
