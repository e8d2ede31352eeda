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

  /// Of simd values in a row, the first of which has number `counter`.
  void thresholds(std::uint32_t counter, std::uint32_t (&out)[simd]) const {
#pragma HLS inline
    for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
      const std::uint32_t drawn =
          numeric::random_bits(key, counter + static_cast<std::uint32_t>(l));
      out[l] = stochastic != 0 ? drawn : numeric::nearest_threshold;
    }
  }
};

}  // namespace training
}  // namespace dovetail
