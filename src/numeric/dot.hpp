// Dot products into an accumulator of a stated width, and the width that never overflows.
//
// C++14, usable inside HLS kernels. Written with the operators that Int, Fixed, ap_int and ap_fixed
// share. Binary numbers in words have binary_dot (numeric/binary.hpp).
#pragma once

#include <cstdint>

#include "numeric/saturate.hpp"

namespace dovetail {
namespace numeric {

/// Σ a·b, stored after each product as the accumulator's type stores: an Int wraps, a Fixed rounds
/// and overflows by its modes, in the order of the elements.
template <typename Accumulator, typename A, typename B>
constexpr Accumulator dot(const A* a, const B* b, int count) {
  Accumulator sum = 0;
  for (int i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

/// As above, but an integer accumulator is clamped after each product. The order matters.
template <typename Accumulator, typename A, typename B>
constexpr Accumulator saturating_dot(const A* a, const B* b, int count) {
  Accumulator sum = 0;
  for (int i = 0; i < count; ++i) sum = saturate<Accumulator>(sum + a[i] * b[i]);
  return sum;
}

/// Fewest bits of a signed accumulator that holds any sum of `count` products of magnitude up to
/// `largest_product`.
constexpr int accumulator_bits(std::int64_t count, std::int64_t largest_product) {
  int bits = 1;
  for (std::int64_t rest = count * largest_product; rest > 0; rest >>= 1) ++bits;
  return bits;
}

}  // namespace numeric
}  // namespace dovetail
