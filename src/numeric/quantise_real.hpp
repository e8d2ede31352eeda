// Real numbers to integer codes by numeric/rounding.hpp's law, in float32 arithmetic that a host's
// vector lanes and a card's float units both have.
//
// C++14, usable inside HLS kernels. Codes are symmetric about zero: ±(2^(bits−1) − 1). Stochastic
// rounding is unbiased (Gupta et al., "Deep Learning with Limited Numerical Precision", ICML 2015,
// arXiv 1502.02551, section 3).
#pragma once

#include <cmath>
#include <cstdint>

#include "numeric/rounding.hpp"

namespace dovetail {
namespace numeric {

/// The threshold that makes quantise_real round to nearest, ties away from zero. A uniform one, as
/// random_bits gives it, rounds stochastically.
constexpr std::uint32_t nearest_threshold = 0x7fffffffu;

/// The largest code of `bits` bits.
constexpr std::int32_t largest_code(std::int32_t bits) {
  return (std::int32_t{1} << (bits - 1)) - 1;
}

/// The code of `value`, not NaN: its magnitude rounded down, one more where the dropped fraction's
/// first 32 bits are above `threshold`, at most `largest` < 2^23.
inline std::int32_t quantise_real(float value, std::uint32_t threshold, std::int32_t largest) {
  const float magnitude = std::fabs(value);
  const float bound = static_cast<float>(largest);
  const float inside = magnitude < bound ? magnitude : bound;
  const std::int32_t down = static_cast<std::int32_t>(inside);
  const float fraction = inside - static_cast<float>(down);  // exact
  const std::uint32_t dropped = static_cast<std::uint32_t>(fraction * 4294967296.0F);
  const std::int32_t code = down + static_cast<std::int32_t>(dropped > threshold);
  return value < 0 ? -code : code;
}

}  // namespace numeric
}  // namespace dovetail
