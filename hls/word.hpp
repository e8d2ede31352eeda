// The words that travel over AXI and between the stages of the engine's kernels.
//
// Plain structs of arrays: g++ keeps them in memory order, Vitis HLS aggregates them into one wide
// port or stream. An array of them on chip it would take apart into arrays of their elements, two
// ports each (UG1399, "Structs"): `aggregate` makes each one wide word of memory.
#pragma once

#include <cstdint>

#include "numeric/engine_layout.hpp"

namespace dovetail {
namespace engine {

/// 128 bits of a feature map: 16, 32, 64 or 128 codes.
struct Chunk {
  std::uint8_t byte[chunk_bytes];
};

/// 512 bits of memory.
struct Burst {
  Chunk chunk[burst_bytes / chunk_bytes];
};

static_assert(sizeof(Burst) == burst_bytes && burst_bytes * 8 == 512, "a burst has 512 bits");

/// pe accumulators, one an output channel.
struct Accumulators {
  std::int32_t value[pe];
};

/// One field of the parameters of pe output channels.
struct ParameterField {
  std::int32_t value[pe];
};
static_assert(sizeof(ParameterField) == parameter_bytes, "as it lies in memory");

constexpr int byte_lanes = simd(8);
static_assert(byte_lanes == chunk_bytes, "a chunk of 8-bit codes is one word of lanes");

/// The weights of one cycle, 8 bits each: simd lanes × pe output channels.
struct ByteWeights {
  static constexpr int bits = 8;
  std::int8_t value[simd(bits)][pe];
};

/// The weights of one cycle, 1, 2 or 4 bits each: bit planes of 64 lanes for pe output channels.
template <int Bits>
struct PlaneWeights {
  static_assert(Bits == 1 || Bits == 2 || Bits == 4, "8-bit weights go through multipliers");
  static constexpr int bits = Bits;
  std::uint64_t plane[Bits][pe];
};

template <int Bits>
struct WeightWordOf {
  using Type = PlaneWeights<Bits>;
};
template <>
struct WeightWordOf<8> {
  using Type = ByteWeights;
};
template <int Bits>
using WeightWord = typename WeightWordOf<Bits>::Type;

static_assert(sizeof(WeightWord<1>) == weight_word_bytes(1) &&
                  sizeof(WeightWord<2>) == weight_word_bytes(2) &&
                  sizeof(WeightWord<4>) == weight_word_bytes(4) &&
                  sizeof(WeightWord<8>) == weight_word_bytes(8),
              "as they lie in memory");
static_assert(weight_word_bytes(1) % burst_bytes == 0, "whole bursts");

}  // namespace engine
}  // namespace dovetail
