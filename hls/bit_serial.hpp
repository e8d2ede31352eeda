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

/// Bit `plane` of 64 codes of `bits` bits.
inline std::uint64_t plane_of(const std::uint8_t* codes, int bits, int plane) {
#pragma HLS inline
  std::uint64_t word = 0;
  if (bits == 2) {
    for (int i = 0; i < 2; ++i) word |= every_second_bit(word_at(codes + i * 8) >> plane) << i * 32;
  } else if (bits == 4) {
    for (int i = 0; i < 4; ++i) word |= every_fourth_bit(word_at(codes + i * 8) >> plane) << i * 16;
  } else {
    for (int i = 0; i < 8; ++i) word |= every_eighth_bit(word_at(codes + i * 8) >> plane) << i * 8;
  }
  return word;
}

/// One vector of `lanes` codes, `count` chunks, as planes. What the last chunk holds beyond them
/// counts for nothing: 1-bit weights have no zero to meet it with.
template <int WeightBits>
void read_planes(ChunkStream& vectors, ChunkStream& validity, Planes& planes, int count, int lanes,
                 int bits) {
  const int words = vector_words(lanes, WeightBits);
  Chunk codes[max_lanes / chunk_bytes + 4];
  Chunk marks[max_lanes / 8 / chunk_bytes + 1];
  vectors.read(codes, count);
  for (int c = count; c < count + 4; ++c) codes[c] = Chunk{};
  if (bits == 1) {
    validity.read(marks, count);
    marks[count] = Chunk{};
  }
  for (int plane = 0; plane < bits; ++plane) {
    std::int32_t ones = 0, below = 0;
    for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 1
      PlaneWord word;
      const std::uint8_t* from = codes[0].byte + w * 8 * bits;
      if (bits == 1) {
        word.bits = word_at(from);
        word.mask = word_at(marks[0].byte + w * 8);
      } else {
        word.bits = ~std::uint64_t{0};
        word.mask = plane_of(from, bits, plane);
      }
      const int left = lanes - w * simd(WeightBits);
      if (left < simd(WeightBits)) word.mask &= (std::uint64_t{1} << left) - 1;
      planes.word[plane][w] = word;
      ones += hls::popcount(word.mask);
      below += hls::popcount(word.mask & ~word.bits);
    }
    planes.base[plane] = WeightBits == 1 ? ones : below - ones;
  }
}

/// differing[k][p] += popcount((b_k ^ bits) & mask): Bits × pe × 64 one-bit products, one cycle on
/// the card.
template <int Bits>
void count_differing(const PlaneWord& x, const PlaneWeights<Bits>& w,
                     std::int32_t (&differing)[Bits][pe]) {
#pragma HLS inline
  for (int k = 0; k < Bits; ++k) {
#pragma HLS unroll
    for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
      differing[k][p] += hls::popcount((w.plane[k][p] ^ x.bits) & x.mask);
    }
  }
}

/// c_k of the formula above, 2 for a 1-bit weight.
template <int Bits>
constexpr std::int32_t plane_value(int k) {
  return Bits == 1 ? 2 : k + 1 == Bits ? -(1 << k) : 1 << k;
}

/// One vector against all tiles; weights[tile · words + word].
/// invariant: cycles = tiles · planes · words.
template <int Bits>
void multiply_planes(const Planes& x, const PlaneWeights<Bits>* weights, AccumulatorStream& out,
                     int words, int tiles, int bits) {
  for (int t = 0; t < tiles; ++t) {
    Accumulators sums = {};
    for (int plane = 0; plane < bits; ++plane) {
      std::int32_t differing[Bits][pe] = {};
      for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 1
        count_differing(x.word[plane][w], weights[t * words + w], differing);
      }
      // Bit 7 of an int8 counts −128.
      const std::int32_t value = plane == 7 ? -(1 << plane) : 1 << plane;
      for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
        std::int32_t sum = x.base[plane];
        for (int k = 0; k < Bits; ++k) sum -= plane_value<Bits>(k) * differing[k][p];
        sums.value[p] += value * sum;
      }
    }
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
    read_planes<Bits>(vectors, validity, planes, chunk_count, lanes, bits);
    multiply_planes(planes, weights, out, words, tiles, bits);
  }
}

}  // namespace engine
}  // namespace dovetail
