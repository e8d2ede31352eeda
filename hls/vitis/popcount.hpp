// The number of ones in a word under Vitis HLS: an adder tree.
#pragma once

#include <cstdint>

namespace dovetail {
namespace hls {

inline int popcount(std::uint64_t word) {
#pragma HLS inline
  int ones = 0;
  for (int bit = 0; bit < 64; ++bit) {
#pragma HLS unroll
    ones += static_cast<int>(word >> bit & 1);
  }
  return ones;
}

}  // namespace hls
}  // namespace dovetail
