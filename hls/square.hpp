// The multipliers of 8-bit weights: `simd` lanes of a few vectors against the weights of one cycle.
//
// Included in angle brackets: a host with AVX-512 puts hls/host/avx512 before hls in the include
// path, whose header gives the same sums by the processor's own dot products.
#pragma once

#include "word.hpp"

namespace dovetail {
namespace engine {

/// The values of a word's activations.
struct Lanes {
  std::int8_t value[byte_lanes];
};

/// pe accumulators.
struct SquareSums {
  std::int32_t value[pe];
};

inline void clear(SquareSums& sums) {
#pragma HLS inline
  for (int p = 0; p < pe; ++p) sums.value[p] = 0;
}

inline Accumulators accumulators(const SquareSums& sums) {
#pragma HLS inline
  Accumulators result;
  for (int p = 0; p < pe; ++p) result.value[p] = sums.value[p];
  return result;
}

/// sums[n][p] += Σ_l x[n][l] · w[l][p]: pe × simd multiplications a vector, one cycle on the card.
/// Weights lie in ±127, so the sum of two products fits 16 bits (2 · 127 · 128 = 32,512): the adder
/// tree's first level is 16 bits wide.
template <int Vectors>
void multiply_square(const Lanes (&x)[Vectors], const ByteWeights& w, SquareSums (&sums)[Vectors]) {
#pragma HLS inline
  static_assert(byte_lanes % 2 == 0, "products are added in pairs");
  std::int16_t lane[Vectors][byte_lanes];
#pragma HLS array_partition variable = lane complete dim = 0
  for (int n = 0; n < Vectors; ++n) {
    for (int l = 0; l < byte_lanes; ++l) lane[n][l] = x[n].value[l];
  }
  for (int l = 0; l < byte_lanes; l += 2) {
#pragma HLS unroll
    for (int n = 0; n < Vectors; ++n) {
      for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
        const std::int16_t even = static_cast<std::int16_t>(w.value[l][p] * lane[n][l]);
        const std::int16_t odd = static_cast<std::int16_t>(w.value[l + 1][p] * lane[n][l + 1]);
        sums[n].value[p] += static_cast<std::int16_t>(even + odd);
      }
    }
  }
}

}  // namespace engine
}  // namespace dovetail
