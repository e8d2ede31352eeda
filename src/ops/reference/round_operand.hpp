// The twin of RoundOperand: a float32 as a product in a compute format reads it.
#pragma once

#include "numeric/minifloat.hpp"
#include "ops/compute_format.hpp"

namespace dovetail::reference {

/// To the nearest; ties away from zero in tf32, to even in bf16 and fp16, where 65520 and more
/// become infinite.
inline float round_operand(float value, ComputeFormat format) {
  using namespace numeric;
  const Encoding how(Rounding::nearest_even, Excess::to_infinity);
  switch (format) {
    case ComputeFormat::float32:
      return value;
    case ComputeFormat::tf32: {
      const FloatParts parts = float_parts(float_bits(value));
      if (parts.nan || parts.infinite) return value;
      return float_of_bits((float_bits(value) + 0x1000u) & ~0x1fffu);
    }
    case ComputeFormat::bf16:
      return BFloat16::encode(value, how).value();
    case ComputeFormat::fp16:
      return Float16::encode(value, how).value();
  }
  return value;
}

}  // namespace dovetail::reference
