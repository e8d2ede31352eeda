// How post-training quantisation chooses the range of an activation: by the largest value seen, by
// a percentile, or by the least mean squared error.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/magnitude_bins.hpp"

namespace dovetail::quant {

/// How often magnitudes were seen, by bin. Counts of several ranks or batches add up.
class Histogram {
 public:
  static constexpr int bins = static_cast<int>(MagnitudeBins::count);

  void add(std::span<const float> values);
  /// Throws Error unless there is one a bin.
  void add_counts(std::span<const std::uint32_t> counts);
  void merge(const Histogram& other);
  std::span<std::uint64_t> counts() { return counts_; }
  std::span<const std::uint64_t> counts() const { return counts_; }
  std::uint64_t total() const;
  double mean() const;  // 0 where nothing was seen
  /// The value that stands for a bin, and the bin's upper edge. Bins of one octave are equally
  /// wide.
  static double centre(int bin);
  static double edge(int bin);

 private:
  std::array<std::uint64_t, bins> counts_{};
};

enum class CalibrationMethod { max, percentile, mse };

struct Calibration {
  CalibrationMethod method = CalibrationMethod::max;
  double percentile = 99.9;  // of the values, in percent
};

/// "max", "mse", "percentile" or "percentile:P" with P in (0, 100]; throws UsageError for anything
/// else.
Calibration parse_calibration(std::string_view text);

/// The magnitude that the highest of `levels` + 1 evenly spaced codes from 0 stands for. `largest`
/// is the largest magnitude seen; with CalibrationMethod::max it is the answer, with an empty
/// histogram too.
double choose_range(const Calibration& calibration, double largest, const Histogram& seen,
                    int levels);

}  // namespace dovetail::quant
