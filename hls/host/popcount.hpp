// The number of ones in a word, on the host: one instruction.
#pragma once

#include <cstdint>

namespace dovetail {
namespace hls {

inline int popcount(std::uint64_t word) {
  return __builtin_popcountll(word);
}

}  // namespace hls
}  // namespace dovetail
