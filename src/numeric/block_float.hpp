// Block floating point: 16 numbers share an 8-bit exponent, each has a K-bit mantissa.
//
// C++14, usable inside HLS kernels: encoding and products are integer arithmetic. The shared
// exponent is that of the block's largest magnitude; mantissas are two's complement in
// ±(2^(K−1) − 1), so that the law is symmetric about zero. Source: Darvish Rouhani et al., "Pushing
// the Limits of Narrow Precision Inferencing at Cloud Scale with Microsoft Floating Point", NeurIPS
// 2020.
#pragma once

#include "numeric/integer.hpp"
#include "numeric/minifloat.hpp"

namespace dovetail {
namespace numeric {

constexpr int bfp_block = 16;

/// Element i is mantissa[i] · 2^(exponent − 127 − (K − 2)); all are NaN where exponent is 255.
template <int K>
struct BfpBlock {
  static_assert(K >= 2 && K <= 16, "a mantissa has 2 to 16 bits");
  static constexpr int highest = (1 << (K - 1)) - 1;
  std::uint8_t exponent;
  Int<K> mantissa[bfp_block];
};

/// Biased exponent of a float32, 1 for subnormal numbers and zero.
constexpr int biased_exponent(const FloatParts& parts) {
  return parts.exponent + 150;
}

/// The block of 16 numbers. A NaN or infinity among them makes all of them NaN. Stochastic rounding
/// takes random_bits(key, first + i) for element i.
template <int K>
BfpBlock<K> bfp_encode(const float* numbers, Rounding rounding = Rounding::nearest_even,
                       std::uint32_t key = 0, std::uint32_t first = 0) {
  BfpBlock<K> block = {};
  int shared = 1;
  for (int i = 0; i < bfp_block; ++i) {
    shared = larger(shared, biased_exponent(float_parts(float_bits(numbers[i]))));
  }
  block.exponent = static_cast<std::uint8_t>(shared);
  if (shared == 255) return block;
  for (int i = 0; i < bfp_block; ++i) {
    const FloatParts parts = float_parts(float_bits(numbers[i]));
    const int places = shared - biased_exponent(parts) + 25 - K;
    const std::uint32_t random = random_bits(key, first + static_cast<std::uint32_t>(i));
    const int rounded = static_cast<int>(round_places(parts.significand, places, rounding, random));
    const int magnitude = smaller(rounded, BfpBlock<K>::highest);
    block.mantissa[i] = parts.negative ? -magnitude : magnitude;
  }
  return block;
}

/// Exact.
template <int K>
float bfp_value(const BfpBlock<K>& block, int i) {
  if (block.exponent == 255) return float_of_bits(0x7fc00000u);
  // In two factors, since the step may be a subnormal float32.
  const float step = float_of_bits(static_cast<std::uint32_t>(block.exponent) << 23);
  return static_cast<float>(block.mantissa[i].to_int()) / static_cast<float>(1 << (K - 2)) * step;
}

/// Σ a·b of the mantissas, exact; times 2^bfp_dot_exponent(a, b) it is the dot product.
template <int K>
constexpr Int<2 * K + 3> bfp_dot(const BfpBlock<K>& a, const BfpBlock<K>& b) {
  Int<2 * K + 3> sum = 0;
  for (int i = 0; i < bfp_block; ++i) sum += a.mantissa[i] * b.mantissa[i];
  return sum;
}
template <int K>
constexpr int bfp_dot_exponent(const BfpBlock<K>& a, const BfpBlock<K>& b) {
  return a.exponent + b.exponent - 2 * (127 + K - 2);
}

}  // namespace numeric
}  // namespace dovetail
