// Histograms of magnitudes, and ranges chosen from them.
#include "quant/calibration.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {
namespace {

constexpr double per_octave = 8;
constexpr double lowest_octave = -24;

double percentile_of(const Histogram& seen, double percent) {
  const double wanted = static_cast<double>(seen.total()) * percent / 100;
  double below = 0;
  for (int bin = 0; bin < Histogram::bins; ++bin) {
    below += static_cast<double>(seen.counts()[static_cast<std::size_t>(bin)]);
    if (below >= wanted) return Histogram::edge(bin);
  }
  return Histogram::edge(Histogram::bins - 1);
}

double squared_error(const Histogram& seen, double range, int levels) {
  const double step = range / levels;
  double error = 0;
  for (int bin = 0; bin < Histogram::bins; ++bin) {
    const auto count = seen.counts()[static_cast<std::size_t>(bin)];
    if (count == 0) continue;
    const double value = Histogram::centre(bin);
    const double code = std::min(std::round(value / step), static_cast<double>(levels));
    error += static_cast<double>(count) * (value - code * step) * (value - code * step);
  }
  return error;
}

double least_squares_range(const Histogram& seen, double largest, int levels) {
  double best = largest, least = squared_error(seen, largest, levels);
  for (int bin = 0; bin < Histogram::bins; ++bin) {
    const double range = Histogram::edge(bin);
    if (range >= largest) break;
    const double error = squared_error(seen, range, levels);
    if (error < least) {
      least = error;
      best = range;
    }
  }
  return best;
}

}  // namespace

void Histogram::add(std::span<const float> values) {
  for (const float value : values) {
    const double octaves = std::log2(std::max(std::abs(double{value}), 1e-300)) - lowest_octave;
    // A value that is no number counts as the largest.
    const double bin =
        octaves < bins ? std::clamp(octaves * per_octave + 1, 0.0, bins - 1.0) : bins - 1.0;
    ++counts_[static_cast<std::size_t>(bin)];
  }
}

void Histogram::merge(const Histogram& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

std::uint64_t Histogram::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

double Histogram::edge(int bin) {
  return std::exp2(bin / per_octave + lowest_octave);
}

double Histogram::centre(int bin) {
  return bin == 0 ? 0 : std::exp2((bin - 0.5) / per_octave + lowest_octave);
}

CalibrationMethod parse_calibration(std::string_view name) {
  if (name == "max") return CalibrationMethod::max;
  if (name == "percentile") return CalibrationMethod::percentile;
  if (name == "mse") return CalibrationMethod::mse;
  throw UsageError(fmt::format("unknown calibration '{}'", name),
                   "Known calibrations: max, percentile, mse");
}

double choose_range(const Calibration& calibration, double largest, const Histogram& seen,
                    int levels) {
  if (calibration.method == CalibrationMethod::max || seen.total() == 0 || !(largest > 0))
    return largest;
  if (calibration.method == CalibrationMethod::percentile)
    return std::min(largest, percentile_of(seen, calibration.percentile));
  return least_squares_range(seen, largest, levels);
}

}  // namespace dovetail::quant
