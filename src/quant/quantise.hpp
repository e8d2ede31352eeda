// From real numbers to integers: scales, rounding, and a real factor as multiplier and shift.
#pragma once

#include <cstdint>

namespace dovetail::quant {

/// A real factor as numeric/requantise.hpp takes it: multiplier · 2^−shift.
struct Factor {
  std::int32_t multiplier = 0;
  std::int32_t shift = 1;

  bool operator==(const Factor&) const = default;
};

/// The nearest Factor to `factor` in [0, 2^30), with a multiplier in [2^30, 2^31). A factor below
/// 2^−32 becomes 0: it takes every accumulator to less than one half. Throws Error for other
/// values.
Factor to_factor(double factor);

/// value / scale rounded to nearest, ties away from zero, and clamped to ±limit.
std::int32_t quantise(double value, double scale, std::int32_t limit);

}  // namespace dovetail::quant
