// Words of bytes on the host, which is little-endian: a plain load.
#pragma once

#include <cstdint>
#include <cstring>

namespace dovetail {
namespace hls {

/// Eight bytes, the lowest first.
inline std::uint64_t word_at(const std::uint8_t* byte) {
  std::uint64_t word = 0;
  std::memcpy(&word, byte, sizeof word);
  return word;
}

}  // namespace hls
}  // namespace dovetail
