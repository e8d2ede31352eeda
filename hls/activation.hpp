// What follows the products: thresholds or requantisation to codes, or the accumulators as they
// are.
#pragma once

#include "memory.hpp"
#include "numeric/requantise.hpp"

namespace dovetail {
namespace engine {

static_assert(max_levels + 1 <= 16, "two ports read the fields of a tile in eight cycles");
static_assert(max_levels + 1 >= 3, "the fields of a tile hold thresholds, or bias and factor");
static_assert(code_bytes(pe, 4) <= chunk_bytes, "a tile's 4-bit codes leave as one chunk at most");
static_assert(pe % chunk_bytes == 0, "a tile's 8-bit codes are whole chunks");
static_assert(pe * 4 / chunk_bytes <= 8, "a tile's raw accumulators leave in eight cycles");

/// The parameters of one tile: its fields.
using TileParameters = ParameterField[max_levels + 1];

/// Codes of Bits < 8 bits, pe · Bits / 8 bytes: how many thresholds an accumulator reaches, counted
/// from the top where the complement says so (a batch norm with a negative gain).
template <int Bits>
Chunk levels_reached(const Accumulators& sums, const TileParameters& parameters) {
  constexpr int count = levels(Bits), per_byte = 8 / Bits;
  std::int32_t code[pe] = {};
  for (int t = 1; t <= count; ++t) {
#pragma HLS unroll
    for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
      code[p] += sums.value[p] >= parameters[t].value[p] ? 1 : 0;
    }
  }
  Chunk codes = {};
  for (int byte = 0; byte < pe / per_byte; ++byte) {
#pragma HLS unroll
    int joint = 0;
    for (int i = 0; i < per_byte; ++i) {
      const int p = byte * per_byte + i;
      joint |= (code[p] ^ parameters[0].value[p]) << (i * Bits);
    }
    codes.byte[byte] = static_cast<std::uint8_t>(joint);
  }
  return codes;
}

/// int8 of pe channels.
inline void write_requantised(const Accumulators& sums, const TileParameters& parameters,
                              std::int32_t low, ChunkStream& out) {
  std::int8_t values[pe];
  for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
    values[p] = numeric::requantise(sums.value[p] + parameters[0].value[p], parameters[1].value[p],
                                    parameters[2].value[p], low);
  }
  Chunk parts[pe / chunk_bytes];
  for (int c = 0; c < pe / chunk_bytes; ++c) {
#pragma HLS unroll
    for (int i = 0; i < chunk_bytes; ++i) {
      parts[c].byte[i] = static_cast<std::uint8_t>(values[c * chunk_bytes + i]);
    }
  }
  out.write_up_to<pe / chunk_bytes>(parts, pe / chunk_bytes);
}

/// The accumulators themselves with their bias, little-endian int32.
inline void write_raw(const Accumulators& sums, const TileParameters& parameters,
                      ChunkStream& out) {
  constexpr int per_chunk = chunk_bytes / 4;
  // One chunk leaves in each of the cycles of a tile.
  for (int c = 0; c < pe / per_chunk; ++c) {
#pragma HLS unroll
    Chunk chunk;
    for (int i = 0; i < chunk_bytes; ++i) {
      const int p = c * per_chunk + i / 4;
      const auto bits = static_cast<std::uint32_t>(sums.value[p] + parameters[0].value[p]);
      chunk.byte[i] = static_cast<std::uint8_t>(bits >> (i % 4 * 8));
    }
    out.write(chunk);
  }
}

/// What leaves for each image: `pixels` of `tiles` tiles, in codes of `bits` bits, or raw_bits.
/// 8-bit codes are clamped to `low` from below.
struct Output {
  int images, pixels, tiles, bits;
  std::int32_t low;

  int image_chunks() const { return chunks(code_bytes(pixels * tiles * pe, bits)); }
  int fields() const { return parameter_fields(bits); }
};

/// The accumulators of every pixel, tile by tile, as codes; each image ends with a whole chunk.
inline void activate(AccumulatorStream& sums, ParameterStream& parameters, ChunkStream& out,
                     const Output& output) {
  TileParameters kept[max_tiles];
#pragma HLS aggregate variable = kept
  for (int t = 0; t < output.tiles; ++t) parameters.read(kept[t], output.fields());
  for (int image = 0; image < output.images; ++image) {
    Realigner joined;
    int t = 0;
    // invariant: eight cycles a tile are what raw output needs, the longest: pe / 4 chunks of one
    // stream. In them two ports read all fields of a tile. From tile to tile go the counter and the
    // realigner's registers.
    for (int i = 0; i < output.pixels * output.tiles; ++i) {
#pragma HLS pipeline II = 8
      const Accumulators sum = sums.read();
      Chunk codes = {};
      switch (output.bits) {
        case 1:
          codes = levels_reached<1>(sum, kept[t]);
          break;
        case 2:
          codes = levels_reached<2>(sum, kept[t]);
          break;
        case 4:
          codes = levels_reached<4>(sum, kept[t]);
          break;
        case 8:
          write_requantised(sum, kept[t], output.low, out);
          break;
        default:
          write_raw(sum, kept[t], out);
      }
      if (output.bits < 8) joined.append(codes, code_bytes(pe, output.bits), out);
      t = t + 1 < output.tiles ? t + 1 : 0;
    }
    joined.flush(out);
  }
}

}  // namespace engine
}  // namespace dovetail
