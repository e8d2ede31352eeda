// Bits and bytes of words: on the card all of this is wires.
#pragma once

#include <cstdint>

#include "bytes.hpp"

namespace dovetail {
namespace engine {

using hls::word_at;

/// Little-endian int32.
inline std::int32_t int32_at(const std::uint8_t* byte) {
#pragma HLS inline
  std::uint32_t word = 0;
  for (int i = 3; i >= 0; --i) word = word << 8 | byte[i];
  return static_cast<std::int32_t>(word);
}

/// The bits 0, 2, 4, … of a word, moved together; the others fall away.
inline std::uint64_t every_second_bit(std::uint64_t x) {
#pragma HLS inline
  x &= 0x5555555555555555;
  x = (x | x >> 1) & 0x3333333333333333;
  x = (x | x >> 2) & 0x0f0f0f0f0f0f0f0f;
  x = (x | x >> 4) & 0x00ff00ff00ff00ff;
  x = (x | x >> 8) & 0x0000ffff0000ffff;
  return (x | x >> 16) & 0x00000000ffffffff;
}
/// The bits 0, 4, 8, …
inline std::uint64_t every_fourth_bit(std::uint64_t x) {
#pragma HLS inline
  x &= 0x1111111111111111;
  x = (x | x >> 3) & 0x0303030303030303;
  x = (x | x >> 6) & 0x000f000f000f000f;
  x = (x | x >> 12) & 0x000000ff000000ff;
  return (x | x >> 24) & 0x000000000000ffff;
}
/// Eight bytes as an 8 × 8 square of bits, transposed: bit r of byte c from bit c of byte r.
inline std::uint64_t transposed_bits(std::uint64_t x) {
#pragma HLS inline
  std::uint64_t swap = (x ^ x >> 7) & 0x00aa00aa00aa00aa;
  x ^= swap ^ swap << 7;
  swap = (x ^ x >> 14) & 0x0000cccc0000cccc;
  x ^= swap ^ swap << 14;
  swap = (x ^ x >> 28) & 0x00000000f0f0f0f0;
  return x ^ swap ^ swap << 28;
}

}  // namespace engine
}  // namespace dovetail
