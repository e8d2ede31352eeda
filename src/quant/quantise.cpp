// Scales and factors in double precision; the kernels see integers alone.
#include "quant/quantise.hpp"

#include <algorithm>
#include <cmath>

#include "numeric/requantise.hpp"
#include "quant/range_error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {

Factor to_factor(double factor) {
  if (!(factor >= 0 && factor < 1073741824.0)) {
    throw RangeError(fmt::format("a requantisation factor of {} cannot be expressed", factor),
                     "The ranges of neighbouring layers are too far apart; check the calibration");
  }
  int exponent = 0;
  const double fraction =
      std::frexp(factor, &exponent);  // factor = fraction · 2^exponent, fraction in [1/2, 1)
  auto multiplier = static_cast<std::int64_t>(std::llround(std::ldexp(fraction, 31)));
  if (multiplier == std::int64_t{1} << 31) {
    multiplier /= 2;
    ++exponent;
  }
  const int shift = 31 - exponent;
  if (multiplier == 0 || shift > numeric::shift_highest) return {0, numeric::shift_lowest};
  return {static_cast<std::int32_t>(multiplier), shift};
}

std::int32_t quantise(double value, double scale, std::int32_t limit) {
  return static_cast<std::int32_t>(
      std::clamp(std::round(value / scale), -double(limit), double(limit)));
}

}  // namespace dovetail::quant
