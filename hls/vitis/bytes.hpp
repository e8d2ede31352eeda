// Words of bytes under Vitis HLS: wires.
#pragma once

#include <cstdint>

namespace dovetail {
namespace hls {

/// Eight bytes, the lowest first.
inline std::uint64_t word_at(const std::uint8_t* byte) {
#pragma HLS inline
  std::uint64_t word = 0;
  for (int i = 7; i >= 0; --i) {
#pragma HLS unroll
    word = word << 8 | byte[i];
  }
  return word;
}

}  // namespace hls
}  // namespace dovetail
