// Words of float32 maps and of routes, and how a kernel rounds.
#pragma once

#include <cstdint>

#include "numeric/quantise_real.hpp"
#include "numeric/training_layout.hpp"

namespace dovetail {
namespace training {

/// simd channels of one position: one burst.
struct RealWord {
  float value[simd];
};
static_assert(sizeof(RealWord) == burst_bytes, "one burst");

/// The pe results of one tile, for one position.
struct RealTile {
  float value[pe];
};

/// Where the gradients of one tile go back to.
struct RouteTile {
  std::int8_t value[pe];
};
/// One burst of routes: two tiles.
struct RouteBurst {
  RouteTile tile[burst_bytes / pe];
};
constexpr int route_tiles_per_burst = burst_bytes / pe;

/// 512 bits of uint8 pixels.
struct PixelBurst {
  std::uint8_t byte[burst_bytes];
};

/// How real numbers become codes of `bits` bits.
struct Rounding {
  float inverse;  // codes a unit; unused in block floating point
  std::int32_t bits;
  std::int32_t stochastic;
  std::uint32_t key;

  std::uint32_t threshold(std::uint32_t counter) const {
#pragma HLS inline
    return stochastic != 0 ? numeric::random_bits(key, counter) : numeric::nearest_threshold;
  }
};

}  // namespace training
}  // namespace dovetail
