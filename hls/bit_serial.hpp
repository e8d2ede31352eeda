// Bit-serial products: weights of 1, 2 or 4 bits against one bit plane of the activations a pass.
//
// Every plane product is an XNOR and a popcount of 64-bit words (Courbariaux et al. 2016, arXiv
// 1602.02830); activations of more bits take more passes (Umuroglu et al., "BISMO", FPL 2018), so
// that one unit serves the int8 input of a network and its 1-, 2- or 4-bit hidden maps.
//
// A plane of activations is (bits, mask): a lane counts as 0 where its mask is 0, else as ±1 by its
// bit. 1-bit codes are so by themselves, masked where there is no tap; plane i of wider codes has
// the code's bit i as its mask and all bits set. With b_k the planes of the weights in two's
// complement, c_k their values (1, 2, … −2^(X−1)) and d_k = popcount((b_k ^ bits) & mask):
//
//   X = 1 (b = 0 is −1):  Σ w x = ones − 2 d_0                    ones = popcount(mask)
//   X > 1:                Σ w x = below − ones − Σ_k c_k d_k      below = popcount(mask & ~bits)
#pragma once

#include "memory.hpp"
#include "popcount.hpp"

namespace dovetail {
namespace engine {

/// 64 lanes of one plane.
struct PlaneWord {
  std::uint64_t bits, mask;
};

constexpr int max_plane_words = max_lanes / simd(1);

/// One vector as planes.
struct Planes {
  PlaneWord word[max_activation_bits][max_plane_words];
  std::int32_t base[max_activation_bits];  // what Σ w x has besides the d_k
};

/// planes[k]: bit k of 64 codes of 8 bits. By squares of 8 codes: a host's compiler takes all of
/// them at once.
inline void planes_of_bytes(const std::uint64_t (&codes)[8], std::uint64_t (&planes)[8]) {
#pragma HLS inline
  std::uint64_t square[8];
  for (int i = 0; i < 8; ++i) square[i] = transposed_bits(codes[i]);
  for (int k = 0; k < 8; ++k) planes[k] = 0;
  for (int i = 0; i < 8; ++i) {
    for (int k = 0; k < 8; ++k) planes[k] |= (square[i] >> k * 8 & 0xff) << i * 8;
  }
}

/// Bit `plane` of 64 codes of 2 or 4 bits.
inline std::uint64_t plane_of(const std::uint64_t (&codes)[8], int bits, int plane) {
#pragma HLS inline
  std::uint64_t word = 0;
  if (bits == 2) {
    for (int i = 0; i < 2; ++i) word |= every_second_bit(codes[i] >> plane) << i * 32;
  } else {
    for (int i = 0; i < 4; ++i) word |= every_fourth_bit(codes[i] >> plane) << i * 16;
  }
  return word;
}

/// The planes of 64 codes, which lie in the first `bits` words; `marks`: of 1-bit codes.
inline void split_planes(const std::uint64_t (&codes)[8], std::uint64_t marks, int bits,
                         PlaneWord (&planes)[max_activation_bits]) {
#pragma HLS inline
  if (bits == 1) {
    planes[0].bits = codes[0];
    planes[0].mask = marks;
    return;
  }
  std::uint64_t masks[8] = {};
  if (bits == 8) {
    planes_of_bytes(codes, masks);
  } else {
    for (int k = 0; k < 4; ++k) {
#pragma HLS unroll
      if (k < bits) masks[k] = plane_of(codes, bits, k);
    }
  }
  for (int k = 0; k < max_activation_bits; ++k) {
#pragma HLS unroll
    planes[k].bits = ~std::uint64_t{0};
    planes[k].mask = masks[k];
  }
}

/// A vector's codes as they come, by rows of eight 64-bit words, so that the codes of any width
/// that make a word of planes lie in one row: one word of memory.
struct CodeRow {
  std::uint64_t word[8];
};
constexpr int chunks_per_row = sizeof(CodeRow) / chunk_bytes;

/// The next row; where fewer than chunks_per_row chunks are `left`, its rest is zero.
inline CodeRow read_row(ChunkStream& in, int left) {
#pragma HLS inline
  Chunk chunk[chunks_per_row] = {};
#pragma HLS array_partition variable = chunk complete
  in.read_up_to<chunks_per_row>(chunk, left);
  CodeRow row;
  for (int c = 0; c < chunks_per_row; ++c) {
#pragma HLS unroll
    row.word[2 * c] = word_at(chunk[c].byte);
    row.word[2 * c + 1] = word_at(chunk[c].byte + 8);
  }
  return row;
}

/// `count` chunks of codes and, if `marked`, as many of marks.
inline void read_rows(ChunkStream& vectors, ChunkStream& validity, CodeRow* codes, CodeRow* marks,
                      int count, bool marked) {
  // invariant: four chunks of each stream come in four cycles, and a whole row of each is written.
  for (int row = 0; row < divide_up(count, chunks_per_row); ++row) {
#pragma HLS pipeline II = 4
    const int left = count - row * chunks_per_row;
    codes[row] = read_row(vectors, left);
    if (marked) marks[row] = read_row(validity, left);
  }
}
static_assert(chunks_per_row == 4, "the loop over rows starts one every so many cycles");

/// One vector of `lanes` codes, `count` chunks, as planes, a word of each a cycle. What the last
/// chunk holds beyond them counts for nothing: 1-bit weights have no zero to meet it with.
template <int WeightBits>
void read_planes(ChunkStream& vectors, ChunkStream& validity, Planes& planes, int count, int lanes,
                 int bits) {
  const int words = vector_words(lanes, WeightBits);
  CodeRow codes[max_plane_words], marks[max_plane_words / 8];  // of 8 bits; of 1 bit
#pragma HLS aggregate variable = codes
#pragma HLS aggregate variable = marks
  read_rows(vectors, validity, codes, marks, count, bits == 1);
  std::int32_t ones[max_activation_bits] = {}, below[max_activation_bits] = {};
#pragma HLS array_partition variable = ones complete
#pragma HLS array_partition variable = below complete
  PlaneWord split[max_activation_bits] = {};
  // invariant: one row is read and a word of each plane is written in each cycle; ones and below
  // take one addition of popcounts.
  for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 1
    const unsigned begin = static_cast<unsigned>(w * bits), row = begin / 8, first = begin % 8;
    const CodeRow all = codes[row];
#pragma HLS array_partition variable = all.word complete
    std::uint64_t near[8];
#pragma HLS array_partition variable = near complete
    for (unsigned i = 0; i < 8; ++i) near[i] = all.word[(first + i) % 8];
    const std::uint64_t taps = bits == 1 ? marks[row].word[first] : 0;
    split_planes(near, taps, bits, split);
    const int left = lanes - w * simd(WeightBits);
    const std::uint64_t used =
        left < simd(WeightBits) ? (std::uint64_t{1} << left) - 1 : ~std::uint64_t{0};
    for (int plane = 0; plane < max_activation_bits; ++plane) {
#pragma HLS unroll
      if (plane >= bits) continue;
      PlaneWord word = split[plane];
      word.mask &= used;
      planes.word[plane][w] = word;
      ones[plane] += hls::popcount(word.mask);
      below[plane] += hls::popcount(word.mask & ~word.bits);
    }
  }
  for (int plane = 0; plane < bits; ++plane)
    planes.base[plane] = WeightBits == 1 ? ones[plane] : below[plane] - ones[plane];
}

/// differing[k][p] += popcount((b_k ^ bits) & mask), from 0 with the `first` word: Bits × pe × 64
/// one-bit products, one cycle on the card.
template <int Bits>
void count_differing(const PlaneWord& x, const PlaneWeights<Bits>& w, bool first,
                     std::int32_t (&differing)[Bits][pe]) {
#pragma HLS inline
  for (int k = 0; k < Bits; ++k) {
#pragma HLS unroll
    for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
      differing[k][p] =
          (first ? 0 : differing[k][p]) + hls::popcount((w.plane[k][p] ^ x.bits) & x.mask);
    }
  }
}

/// c_k of the formula above, 2 for a 1-bit weight.
template <int Bits>
constexpr std::int32_t plane_value(int k) {
  return Bits == 1 ? 2 : k + 1 == Bits ? -(1 << k) : 1 << k;
}

/// What a plane of the activations adds to the sums, from the counts of its words; plane 0 begins
/// them. Bit i counts 2^i, a shift and no multiplier; bit 7 of an int8 counts −128.
template <int Bits>
void add_plane(const std::int32_t (&differing)[Bits][pe], std::int32_t base, int plane,
               Accumulators& sums) {
#pragma HLS inline
  for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
    std::int32_t sum = base;
    for (int k = 0; k < Bits; ++k) sum -= plane_value<Bits>(k) * differing[k][p];
    const auto moved = static_cast<std::int32_t>(static_cast<std::uint32_t>(sum) << plane);
    sums.value[p] = (plane == 0 ? 0 : sums.value[p]) + (plane == 7 ? -moved : moved);
  }
}

/// One vector against all tiles; weights[tile · words + word].
/// invariant: cycles = tiles · planes · words.
template <int Bits>
void multiply_planes(const Planes& x, const PlaneWeights<Bits>* weights, AccumulatorStream& out,
                     int words, int tiles, int bits) {
  Accumulators sums = {};
#pragma HLS array_partition variable = sums.value complete
  std::int32_t differing[Bits][pe] = {};
#pragma HLS array_partition variable = differing complete dim = 0
  int w = 0, plane = 0, tile = 0;  // tile: its first word
  // invariant: one word of a plane meets one word of weights in each cycle, and a tile's sums leave
  // with its last. From cycle to cycle go the places, the counts of differing bits (an addition)
  // and, with a plane's last word, the sums (an addition).
  for (int cycle = 0; cycle < tiles * bits * words; ++cycle) {
#pragma HLS pipeline II = 1
    count_differing(x.word[plane][w], weights[tile + w], w == 0, differing);
    if (++w < words) continue;
    w = 0;
    add_plane(differing, x.base[plane], plane, sums);
    if (++plane < bits) continue;
    plane = 0;
    tile += words;
    out.write(sums);
  }
}

/// `count` vectors of `lanes` codes against a matrix of `tiles` tiles, kept on chip.
template <int Bits>
void multiply(ChunkStream& vectors, ChunkStream& validity, const PlaneWeights<Bits>* weights,
              AccumulatorStream& out, int count, int chunk_count, int lanes, int tiles, int bits) {
  const int words = vector_words(lanes, Bits);
  for (int n = 0; n < count; ++n) {
#pragma HLS dataflow
    Planes planes;
#pragma HLS array_partition variable = planes.word complete dim = 1
    read_planes<Bits>(vectors, validity, planes, chunk_count, lanes, bits);
    multiply_planes(planes, weights, out, words, tiles, bits);
  }
}

}  // namespace engine
}  // namespace dovetail
