// The multipliers of 8-bit weights on a host with AVX-512 VNNI: one instruction multiplies two
// lanes by 16 outputs and adds all. The same sums as hls/square.hpp, bit for bit: integers, and
// none overflows.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "word.hpp"

namespace dovetail {
namespace engine {

/// The values of a word's activations, as wide as the instruction reads them from memory.
struct Lanes {
  std::int16_t value[byte_lanes];
};

/// pe accumulators, in order.
struct SquareSums {
  __m512i low, high;
};
static_assert(pe == 32 && byte_lanes == 16, "two vectors of 16 int32; lanes by pairs");

inline void clear(SquareSums& sums) {
  sums.low = sums.high = _mm512_setzero_si512();
}

inline Accumulators accumulators(const SquareSums& sums) {
  Accumulators result;
  std::memcpy(result.value, &sums.low, sizeof sums.low);
  std::memcpy(result.value + pe / 2, &sums.high, sizeof sums.high);
  return result;
}

/// 32 weights of one lane in 16 bits.
inline __m512i weights_of(const ByteWeights& w, int lane) {
  __m256i row;
  std::memcpy(&row, w.value[lane], sizeof row);
  return _mm512_cvtepi8_epi16(row);
}

template <int Vectors>
void multiply_square(const Lanes (&x)[Vectors], const ByteWeights& w, SquareSums (&sums)[Vectors]) {
  // Pairs of lanes side by side: a[0], b[0], a[1], b[1] … of rows a and b.
  const __m512i first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40,
                                         8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(pe / 2));
  for (int l = 0; l < byte_lanes; l += 2) {
    const __m512i a = weights_of(w, l), b = weights_of(w, l + 1);
    const __m512i low = _mm512_permutex2var_epi16(a, first, b);
    const __m512i high = _mm512_permutex2var_epi16(a, second, b);
    for (int n = 0; n < Vectors; ++n) {
      std::int32_t pair;
      std::memcpy(&pair, &x[n].value[l], sizeof pair);
      const __m512i both = _mm512_set1_epi32(pair);
      sums[n].low = _mm512_dpwssd_epi32(sums[n].low, low, both);
      sums[n].high = _mm512_dpwssd_epi32(sums[n].high, high, both);
    }
  }
}

}  // namespace engine
}  // namespace dovetail
