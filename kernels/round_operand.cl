// Rounds the operands of products to a compute format, where the device has no instructions for it.
//
// Built with FORMAT. Integer arithmetic on the bits, so that every device rounds alike, and as the
// tensor cores' own conversions do (PTX ISA 9.7.9.21 cvt).
#ifndef FORMAT
#error "built by ops/round_operand.cpp"
#endif

#include "compute_format.clh"
#include "inline.clh"

INLINE float rounded(float value) {
  const uint bits = as_uint(value);
  const uint magnitude = bits & 0x7fffffffu;
  const uint sign = bits & 0x80000000u;
  if (magnitude >= 0x7f800000u) return value;  // infinity and NaN
#if FORMAT == TF32
  return as_float((bits + 0x1000u) & ~0x1fffu);  // ties away from zero
#elif FORMAT == BF16
  return as_float((bits + 0x7fffu + (bits >> 16 & 1u)) & ~0xffffu);  // ties to even
#else
  if (magnitude >= 0x477ff000u) return as_float(sign | 0x7f800000u);  // 65520 and more
  if (magnitude < 0x38800000u) {  // below 2^-14 in steps of 2^-24, which is what 0.5f + x keeps
    const float steps = as_float(magnitude) + 0.5f;
    return as_float(sign | as_uint(steps - 0.5f));
  }
  return as_float((bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu);
#endif
}

kernel void round_operand(global const float* restrict source, global float* restrict target,
                          uint elements) {
  const size_t i = get_global_id(0);
  if (i < elements) target[i] = rounded(source[i]);
}
