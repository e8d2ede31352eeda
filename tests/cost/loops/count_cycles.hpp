// Counts the cycles of the kernels' loops as they run: in copies of their sources each `#pragma HLS
// pipeline II = N` is a call of this, in the same place (CMakeLists.txt). A loop's depth, the
// cycles from its last turn's begin to its end, is not counted; nobody but Vitis knows it.
#pragma once

#include <cstdint>

namespace dovetail::cost {

inline std::int64_t counted_cycles = 0;

inline void count_cycles(std::int64_t interval) {
  counted_cycles += interval;
}

}  // namespace dovetail::cost
