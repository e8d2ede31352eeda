// Chunks at any byte of a line on the host: loads from unaligned addresses.
#pragma once

#include <cstdint>
#include <cstring>

namespace dovetail {
namespace hls {

/// The bytes of one chunk from byte `at` of a line of whole chunks on, `at` ≥ 0.
template <typename Chunk>
Chunk chunk_at(const Chunk* line, int at) {
  Chunk chunk;
  std::memcpy(&chunk, reinterpret_cast<const std::uint8_t*>(line) + at, sizeof chunk);
  return chunk;
}

}  // namespace hls
}  // namespace dovetail
