// From real numbers to the integers that turn an output channel's accumulators into activations.
#pragma once

#include "quant/packed_network.hpp"

namespace dovetail::quant {

inline constexpr std::int32_t bias_limit = 1 << 30;

/// y = unit · accumulator + constant.
struct Affine {
  double unit = 1, constant = 0;
};

/// What the codes of a layer's activations stand for: value = step · x + offset with x the integer
/// that the next layer multiplies. `first` is the value from which code 1 stands, the others follow
/// at distances of `step` (1 bit has no others). `mean` is the values' mean where calibration
/// counted them, else 0.
struct Steps {
  double step = 1, offset = 0, first = 0;
  double mean = 0;
};

/// The integer law that gives, of every accumulator, the code nearest to y (ties upwards):
/// thresholds for 1, 2 and 4 bits, exactly; for 8 bits bias, multiplier and shift, to 31 bits; for
/// raw accumulators the bias alone. Throws Error where a factor cannot be expressed.
Channel channel_law(const Affine& affine, int bits, const Steps& steps);

/// Of a channel that a tile is filled up with: code 0 whatever comes.
Channel idle_channel(int bits);

}  // namespace dovetail::quant
