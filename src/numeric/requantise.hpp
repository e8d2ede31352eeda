// Requantisation: the exact integer law that takes an int32 accumulator back to int8.
//
// C++14 without the standard library beyond <cstdint>: twins, HLS kernels and tests share this one
// header. Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference", CVPR 2018 (arXiv 1712.05877), section 2.2: a real factor M is
// written as multiplier · 2^−shift with a normalised int32 multiplier. Rounding is to nearest with
// ties toward +∞, one adder and one shift in hardware.
#pragma once

#include <cstdint>

namespace dovetail {
namespace numeric {

constexpr std::int32_t int8_lowest = -128;
constexpr std::int32_t int8_highest = 127;

constexpr int shift_lowest = 1;
constexpr int shift_highest = 62;

/// ⌊value · multiplier / 2^shift + 1/2⌋, exactly. |multiplier| < 2^31, shift in [shift_lowest,
/// shift_highest]. The bit below the binary point rounds, so nothing overflows: |value ·
/// multiplier| < 2^62.
constexpr std::int64_t scale_and_round(std::int32_t value, std::int32_t multiplier,
                                       std::int32_t shift) {
  const std::int64_t places =
      shift;  // as wide as what it shifts, so that compilers use vector shifts
  const std::int64_t product = static_cast<std::int64_t>(value) * multiplier;
  return ((product >> (places - 1)) + 1) >> 1;
}

/// The int8 activation of an accumulator that already holds its bias: scaled, rounded, clamped to
/// [low, 127]. `low` is int8_lowest, or 0 where a ReLU follows.
constexpr std::int8_t requantise(std::int32_t accumulator, std::int32_t multiplier,
                                 std::int32_t shift, std::int32_t low) {
  const std::int64_t scaled = scale_and_round(accumulator, multiplier, shift);
  const std::int64_t raised = scaled > low ? scaled : low;
  const std::int64_t clamped = raised < int8_highest ? raised : int8_highest;
  return static_cast<std::int8_t>(clamped);
}

}  // namespace numeric
}  // namespace dovetail
