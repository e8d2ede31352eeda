// Products of 8-bit weights: multipliers, pe × simd of them, on activations of any width.
#pragma once

#include <square.hpp>

#include "memory.hpp"

namespace dovetail {
namespace engine {

constexpr int max_lane_words = max_lanes / byte_lanes;
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
using LaneBlock = Lanes[vectors_at_once];

/// Vector `n` of a block, as `words` words of values. Lanes beyond the last code are zero or meet
/// zero weights.
inline void read_lanes(ChunkStream& vectors, ChunkStream& validity, LaneBlock* block, int n,
                       int words, int bits) {
  // Words of lanes in a chunk; no division, which would take longer than a short vector.
  const int parts = bits == 8 ? 1 : bits == 4 ? 2 : bits == 2 ? 4 : 8;
  Chunk codes = {}, marks = {};
#pragma HLS array_partition variable = codes.byte complete
#pragma HLS array_partition variable = marks.byte complete
  int part = 0;
  // invariant: a part of a chunk becomes one word of lanes in each cycle; a chunk comes with its
  // first part.
  for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 1
    if (part == 0) {
      codes = vectors.read();
      if (bits == 1) marks = validity.read();
    }
    Lanes& to = block[w][n];
    for (int l = 0; l < byte_lanes; ++l) {
#pragma HLS unroll
      to.value[l] = bits == 8 ? static_cast<std::int8_t>(codes.byte[l])
                              : value_of(codes, marks, part * byte_lanes + l, bits);
    }
    part = part + 1 < parts ? part + 1 : 0;
  }
}

/// A block of vectors against one tile.
/// invariant: cycles = words · vectors_at_once; a weight word is read once.
inline void multiply_tile(const LaneBlock* block, const ByteWeights* weights, int words,
                          Accumulators (&result)[vectors_at_once]) {
  SquareSums sums[vectors_at_once];
#pragma HLS aggregate variable = sums
#pragma HLS array_partition variable = sums complete
  for (int n = 0; n < vectors_at_once; ++n) clear(sums[n]);
  for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 4
    multiply_square(block[w], weights[w], sums);
  }
  for (int n = 0; n < vectors_at_once; ++n) result[n] = accumulators(sums[n]);
}
static_assert(vectors_at_once == 4, "the loop over weight words starts one every so many cycles");

/// `count` vectors of `lane_count` codes against a matrix of `tiles` tiles, kept on chip.
inline void multiply(ChunkStream& vectors, ChunkStream& validity, const ByteWeights* weights,
                     AccumulatorStream& out, int count, int /*chunk_count*/, int lane_count,
                     int tiles, int bits) {
  const int words = vector_words(lane_count, ByteWeights::bits);
  LaneBlock block[max_lane_words];
  Accumulators sums[max_tiles][vectors_at_once];
#pragma HLS aggregate variable = block
#pragma HLS aggregate variable = sums
  for (int w = 0; w < words; ++w) {
    for (int n = 0; n < vectors_at_once; ++n) block[w][n] = Lanes{};
  }
  for (int first = 0; first < count; first += vectors_at_once) {
    const int now = count - first < vectors_at_once ? count - first : vectors_at_once;
    for (int n = 0; n < now; ++n) read_lanes(vectors, validity, block, n, words, bits);
    for (int t = 0; t < tiles; ++t) multiply_tile(block, weights + t * words, words, sums[t]);
    for (int n = 0; n < now; ++n) {
      // invariant: one word of sums leaves in each cycle.
      for (int t = 0; t < tiles; ++t) {
#pragma HLS pipeline II = 1
        out.write(sums[t][n]);
      }
    }
  }
}

}  // namespace engine
}  // namespace dovetail
