// Barrel shifters of chunks on the host: loads from unaligned addresses.
#pragma once

#include <cstdint>
#include <cstring>

#include "chunk_at.hpp"

namespace dovetail {
namespace hls {

/// The first `count` bytes of a chunk, none to all, from byte `by` < a chunk of two chunks on; all
/// other bytes are zero.
template <typename Chunk>
void shift_up(const Chunk& piece, int count, int by, Chunk& low, Chunk& high) {
  constexpr int bytes = sizeof(Chunk);
  std::uint8_t wide[3 * bytes] = {};
  for (int i = 0; i < bytes; ++i) wide[bytes + i] = i < count ? piece.byte[i] : std::uint8_t{0};
  std::memcpy(&low, wide + bytes - by, sizeof low);
  std::memcpy(&high, wide + 2 * bytes - by, sizeof high);
}

}  // namespace hls
}  // namespace dovetail
