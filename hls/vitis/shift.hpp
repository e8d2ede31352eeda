// Barrel shifters of chunks under Vitis HLS: multiplexers in log2 stages between registers.
//
// hls/host/shift.hpp gives the same names to loads from unaligned addresses; CMake and v++ pick one
// of the two by the include path.
#pragma once

#include <cstdint>

namespace dovetail {
namespace hls {

/// The bytes of one chunk from byte `at` of a line of whole chunks on, `at` ≥ 0. Two chunks in a
/// row are read, by both ports of the line's memory, even where the second is not needed.
template <typename Chunk>
Chunk chunk_at(const Chunk* line, int at) {
#pragma HLS inline
  constexpr int bytes = sizeof(Chunk);
  static_assert((bytes & (bytes - 1)) == 0, "stages shift by powers of two");
  const unsigned place = static_cast<unsigned>(at);
  const Chunk first = line[place / bytes], second = line[place / bytes + 1];
  std::uint8_t wide[2 * bytes];
#pragma HLS array_partition variable = wide complete
  for (int i = 0; i < bytes; ++i) {
#pragma HLS unroll
    wide[i] = first.byte[i];
    wide[bytes + i] = second.byte[i];
  }
  for (int stage = bytes / 2; stage > 0; stage /= 2) {
#pragma HLS unroll
    const bool shifts = (place & static_cast<unsigned>(stage)) != 0;
    for (int i = 0; i < 2 * bytes - stage; ++i) {
#pragma HLS unroll
      wide[i] = shifts ? wide[i + stage] : wide[i];
    }
  }
  Chunk chunk;
  for (int i = 0; i < bytes; ++i) {
#pragma HLS unroll
    chunk.byte[i] = wide[i];
  }
  return chunk;
}

/// The first `count` bytes of a chunk, none to all, from byte `by` < a chunk of two chunks on; all
/// other bytes are zero.
template <typename Chunk>
void shift_up(const Chunk& piece, int count, int by, Chunk& low, Chunk& high) {
#pragma HLS inline
  constexpr int bytes = sizeof(Chunk);
  static_assert((bytes & (bytes - 1)) == 0, "stages shift by powers of two");
  std::uint8_t wide[2 * bytes];
#pragma HLS array_partition variable = wide complete
  for (int i = 0; i < bytes; ++i) {
#pragma HLS unroll
    wide[i] = i < count ? piece.byte[i] : std::uint8_t{0};
    wide[bytes + i] = 0;
  }
  for (int stage = 1; stage < bytes; stage *= 2) {
#pragma HLS unroll
    const bool shifts = (static_cast<unsigned>(by) & static_cast<unsigned>(stage)) != 0;
    for (int i = 2 * bytes - 1; i >= 0; --i) {
#pragma HLS unroll
      const std::uint8_t lower = i >= stage ? wide[i - stage] : std::uint8_t{0};
      wide[i] = shifts ? lower : wide[i];
    }
  }
  for (int i = 0; i < bytes; ++i) {
#pragma HLS unroll
    low.byte[i] = wide[i];
    high.byte[i] = wide[bytes + i];
  }
}

}  // namespace hls
}  // namespace dovetail
