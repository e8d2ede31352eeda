// The words that travel over AXI and between the stages of the int8 kernels.
//
// Plain structs of arrays: g++ keeps them in memory order, Vitis HLS aggregates them into one wide
// port or stream.
#pragma once

#include <cstdint>

#include "numeric/int8_layout.hpp"

namespace dovetail {
namespace int8 {

/// 512 bits of memory.
struct Burst {
  std::int8_t byte[burst_bytes];
};

/// simd consecutive activations of one map.
struct Lanes {
  std::int8_t value[simd];
};

/// The weights of one cycle: simd inputs × pe output channels.
struct WeightWord {
  std::int8_t value[simd][pe];
};
static_assert(sizeof(WeightWord) == weight_word_bytes && weight_word_bytes % burst_bytes == 0,
              "whole bursts");

/// pe accumulators, one an output channel.
struct Accumulators {
  std::int32_t value[pe];
};

/// Bias and requantisation of pe output channels, in the order in which they lie in memory.
struct ChannelParameters {
  std::int32_t bias[pe];
  std::int32_t multiplier[pe];
  std::int32_t shift[pe];
};
static_assert(sizeof(ChannelParameters) == parameter_tile_bytes, "no padding between the fields");

}  // namespace int8
}  // namespace dovetail
