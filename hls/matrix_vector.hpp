// Matrix-vector unit, folded pe × simd: the products of every dense and convolution layer.
#pragma once

#include "memory.hpp"

namespace dovetail {
namespace int8 {

/// sums[p] += Σ_l x[l] · w[l][p]: pe × simd multiplications, one cycle on the card.
/// Weights lie in ±127, so the sum of two products fits 16 bits (2 · 127 · 128 = 32,512): the adder
/// tree's first level is 16 bits wide, and a host's compiler multiplies twice as many lanes at
/// once.
inline void multiply_accumulate(const Lanes& x, const WeightWord& w, Accumulators& sums) {
#pragma HLS inline
  static_assert(simd % 2 == 0, "products are added in pairs");
  for (int l = 0; l < simd; l += 2) {
#pragma HLS unroll
    for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
      const std::int16_t even = static_cast<std::int16_t>(w.value[l][p] * x.value[l]);
      const std::int16_t odd = static_cast<std::int16_t>(w.value[l + 1][p] * x.value[l + 1]);
      sums.value[p] += static_cast<std::int16_t>(even + odd);
    }
  }
}

inline void read_vector(LaneStream& vectors, Lanes* vector, int words) {
  vectors.read(vector, words);
}

/// One vector against all tiles; weights[tile · words + word].
inline void multiply_vector(const Lanes* vector, const WeightWord* weights, AccumulatorStream& out,
                            int words, int tiles) {
  for (int t = 0; t < tiles; ++t) {
    Accumulators sums = {};
    for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 1
      multiply_accumulate(vector[w], weights[t * words + w], sums);
    }
    out.write(sums);
  }
}

/// `count` vectors of `words` words each against one matrix of tiles × words weight words, which is
/// kept on chip. invariant: cycles = tiles · words (weights) + max(words, tiles · words) · count,
/// reading and multiplying overlap.
inline void matrix_vector(LaneStream& vectors, WeightStream& weights, AccumulatorStream& out,
                          int count, int words, int tiles) {
  WeightWord kept[max_weight_words];
#pragma HLS bind_storage variable = kept type = ram_1p impl = uram
  weights.read(kept, tiles * words);
  for (int n = 0; n < count; ++n) {
#pragma HLS dataflow
    Lanes vector[max_vector_words];
    read_vector(vectors, vector, words);
    multiply_vector(vector, kept, out, words, tiles);
  }
}

}  // namespace int8
}  // namespace dovetail
