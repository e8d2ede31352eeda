// Counts the cycles of the kernels' loops as they run, and how many times one is entered: in copies
// of their sources each `#pragma HLS pipeline II = N` is a call of count_cycles, in the same place,
// and the loop around has a call of enter_loop before it (CMakeLists.txt). A loop's depth, the
// cycles from its last turn's begin to its end, nobody but Vitis knows.
#pragma once

#include <cstdint>

namespace dovetail::cost {

inline std::int64_t counted_cycles = 0;

inline std::int64_t counted_entries = 0;
inline bool is_before_first_turn = false;

inline void enter_loop() {
  is_before_first_turn = true;
}

/// The first turn behind enter_loop is that loop's: pipelined loops have none within, and no stage
/// waits between the two.
inline void count_cycles(std::int64_t interval) {
  counted_cycles += interval;
  counted_entries += is_before_first_turn ? 1 : 0;
  is_before_first_turn = false;
}

}  // namespace dovetail::cost
