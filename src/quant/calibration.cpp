// Histograms of magnitudes, and ranges chosen from them.
#include "quant/calibration.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <numeric>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {
namespace {

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
    const auto bits = std::bit_cast<std::uint32_t>(value) & 0x7fffffffU;  // NaN is above all
    const std::int32_t bin =
        static_cast<std::int32_t>(bits >> MagnitudeBins::dropped_bits) - MagnitudeBins::lowest + 1;
    ++counts_[static_cast<std::size_t>(std::clamp(bin, 0, bins - 1))];
  }
}

void Histogram::add_counts(std::span<const std::uint32_t> counts) {
  if (counts.size() != counts_.size())
    throw Error(fmt::format("{} counts for a histogram of {} bins", counts.size(), bins));
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += counts[i];
}

void Histogram::merge(const Histogram& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

std::uint64_t Histogram::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

double Histogram::mean() const {
  double sum = 0;
  for (int bin = 0; bin < bins; ++bin)
    sum += static_cast<double>(counts_[static_cast<std::size_t>(bin)]) * centre(bin);
  return total() == 0 ? 0 : sum / static_cast<double>(total());
}

double Histogram::edge(int bin) {
  const auto bits = static_cast<std::uint32_t>(bin + MagnitudeBins::lowest)
                    << MagnitudeBins::dropped_bits;
  return double{std::bit_cast<float>(bits)};
}

double Histogram::centre(int bin) {
  return bin == 0 ? 0 : (edge(bin - 1) + edge(bin)) / 2;
}

Calibration parse_calibration(std::string_view text) {
  constexpr std::string_view with_number = "percentile:";
  if (text == "max") return {};
  if (text == "mse") return {.method = CalibrationMethod::mse};
  if (text == "percentile") return {.method = CalibrationMethod::percentile};
  if (text.starts_with(with_number)) {
    const std::string_view number = text.substr(with_number.size());
    double percent = 0;
    const auto [end, failure] =
        std::from_chars(number.data(), number.data() + number.size(), percent);
    if (failure == std::errc() && end == number.data() + number.size() && percent > 0 &&
        percent <= 100) {
      return {.method = CalibrationMethod::percentile, .percentile = percent};
    }
  }
  throw UsageError(fmt::format("unknown calibration '{}'", text),
                   "Known calibrations: max, mse, percentile, percentile:P with P up to 100");
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
