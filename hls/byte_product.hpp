// Products of 8-bit weights: multipliers, pe × simd of them, on activations of any width.
#pragma once

#include "memory.hpp"

namespace dovetail {
namespace engine {

constexpr int lanes = simd(8);
static_assert(lanes == chunk_bytes, "a chunk of 8-bit codes is one word of lanes");

/// The values of a word's activations.
struct Lanes {
  std::int8_t value[lanes];
};

constexpr int max_lane_words = max_lanes / lanes;
/// Vectors that meet each weight word while it is at hand. On the card they follow one another; a
/// processor's registers are used better so.
constexpr int vectors_at_once = 4;

/// The value of code `index` of a chunk: codes of 1 bit are −1 or +1, or 0 where nothing is valid.
inline std::int8_t value_of(const Chunk& codes, const Chunk& marks, int index, int bits) {
#pragma HLS inline
  const int at = index * bits;
  const int code = codes.byte[at / 8] >> at % 8 & ((1 << bits) - 1);
  const int valid = marks.byte[at / 8] >> at % 8 & 1;
  return static_cast<std::int8_t>(bits == 1 ? (2 * code - 1) * valid : code);
}

/// The same lanes of vectors_at_once vectors.
struct LaneBlock {
  Lanes vector[vectors_at_once];
};

/// Vector `n` of a block, `count` chunks of codes, as `words` words of values. Lanes beyond the
/// last code are zero or meet zero weights.
inline void read_lanes(ChunkStream& vectors, ChunkStream& validity, LaneBlock* block, int n,
                       int count, int words, int bits) {
  const int parts = 8 / bits;  // words of lanes in a chunk
  for (int c = 0; c < count; ++c) {
    const Chunk codes = vectors.read();
    const Chunk marks = bits == 1 ? validity.read() : Chunk{};
    for (int part = 0; part < parts && c * parts + part < words; ++part) {
#pragma HLS pipeline II = 1
      Lanes& to = block[c * parts + part].vector[n];
      if (bits == 8) {
        for (int l = 0; l < lanes; ++l) to.value[l] = static_cast<std::int8_t>(codes.byte[l]);
      } else {
        for (int l = 0; l < lanes; ++l) {
          to.value[l] = value_of(codes, marks, part * lanes + l, bits);
        }
      }
    }
  }
}

/// sums[n][p] += Σ_l x[n][l] · w[l][p]: pe × simd multiplications a vector, one cycle on the card.
/// Weights lie in ±127, so the sum of two products fits 16 bits (2 · 127 · 128 = 32,512): the adder
/// tree's first level is 16 bits wide, and a host's compiler multiplies twice as many lanes at
/// once.
inline void multiply_accumulate(const LaneBlock& x, const ByteWeights& w,
                                Accumulators (&sums)[vectors_at_once]) {
#pragma HLS inline
  static_assert(lanes % 2 == 0, "products are added in pairs");
  std::int16_t lane[vectors_at_once][lanes];
  for (int n = 0; n < vectors_at_once; ++n) {
    for (int l = 0; l < lanes; ++l) lane[n][l] = x.vector[n].value[l];
  }
  for (int l = 0; l < lanes; l += 2) {
#pragma HLS unroll
    for (int n = 0; n < vectors_at_once; ++n) {
      for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
        const std::int16_t even = static_cast<std::int16_t>(w.value[l][p] * lane[n][l]);
        const std::int16_t odd = static_cast<std::int16_t>(w.value[l + 1][p] * lane[n][l + 1]);
        sums[n].value[p] += static_cast<std::int16_t>(even + odd);
      }
    }
  }
}

/// A block of vectors against one tile.
/// invariant: cycles = words · vectors_at_once; a weight word is read once.
inline void multiply_tile(const LaneBlock* block, const ByteWeights* weights, int words,
                          Accumulators (&result)[vectors_at_once]) {
  Accumulators sums[vectors_at_once] = {};
  for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 4
    multiply_accumulate(block[w], weights[w], sums);
  }
  for (int n = 0; n < vectors_at_once; ++n) result[n] = sums[n];
}
static_assert(vectors_at_once == 4, "the loop over weight words starts one every so many cycles");

/// `count` vectors of `lane_count` codes against a matrix of `tiles` tiles, kept on chip.
inline void multiply(ChunkStream& vectors, ChunkStream& validity, const ByteWeights* weights,
                     AccumulatorStream& out, int count, int chunk_count, int lane_count, int tiles,
                     int bits) {
  const int words = vector_words(lane_count, ByteWeights::bits);
  LaneBlock block[max_lane_words];
  Accumulators sums[max_tiles][vectors_at_once];
  for (int w = 0; w < words; ++w) block[w] = LaneBlock{};
  for (int first = 0; first < count; first += vectors_at_once) {
    const int now = count - first < vectors_at_once ? count - first : vectors_at_once;
    for (int n = 0; n < now; ++n) {
      read_lanes(vectors, validity, block, n, chunk_count, words, bits);
    }
    for (int t = 0; t < tiles; ++t) multiply_tile(block, weights + t * words, words, sums[t]);
    for (int n = 0; n < now; ++n) {
      for (int t = 0; t < tiles; ++t) out.write(sums[t][n]);
    }
  }
}

}  // namespace engine
}  // namespace dovetail
