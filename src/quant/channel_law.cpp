// Thresholds by solving unit · accumulator + constant ≥ value in the integers.
#include "quant/channel_law.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "numeric/engine_layout.hpp"

namespace dovetail::quant {
namespace {

constexpr std::int32_t never = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t always = std::numeric_limits<std::int32_t>::min();

std::int32_t to_int32(double value) {
  return static_cast<std::int32_t>(std::clamp(value, double{always}, double{never}));
}

/// Thresholds are in ascending order. Where the unit is negative, y falls while the accumulator
/// rises, and the code counts what is not reached.
Channel by_thresholds(const Affine& affine, int bits, const Steps& steps) {
  Channel channel;
  channel.downwards = affine.unit < 0;
  for (int t = 0; t < engine::levels(bits); ++t) {
    const double missing = steps.first + t * steps.step - affine.constant;
    if (affine.unit == 0) {
      channel.thresholds.push_back(missing <= 0 ? always : never);
    } else if (affine.unit > 0) {
      channel.thresholds.push_back(to_int32(std::ceil(missing / affine.unit)));
    } else {
      channel.thresholds.push_back(to_int32(std::floor(missing / affine.unit) + 1));
    }
  }
  std::sort(channel.thresholds.begin(), channel.thresholds.end());
  return channel;
}

/// y / step = (accumulator + bias) · factor. Where the bias would leave 30 bits, the accumulator
/// hardly matters beside it: a coarser unit keeps the constant right.
Channel by_factor(Affine affine, double step) {
  const double least = std::abs(affine.constant) / bias_limit;
  if (std::abs(affine.unit) < least) affine.unit = std::copysign(least, affine.unit);
  Channel channel;
  if (affine.unit == 0) return channel;  // always 0
  channel.bias = quantise(affine.constant, affine.unit, bias_limit);
  channel.factor = to_factor(std::abs(affine.unit) / step);
  if (affine.unit < 0) channel.factor.multiplier = -channel.factor.multiplier;
  return channel;
}

}  // namespace

Channel channel_law(const Affine& affine, int bits, const Steps& steps) {
  if (bits < 8) return by_thresholds(affine, bits, steps);
  if (bits == 8) return by_factor(affine, steps.step);
  Channel channel;
  if (affine.unit != 0) channel.bias = quantise(affine.constant, affine.unit, bias_limit);
  return channel;
}

Channel idle_channel(int bits) {
  Channel channel;
  if (bits < 8) channel.thresholds.assign(static_cast<std::size_t>(engine::levels(bits)), never);
  return channel;
}

}  // namespace dovetail::quant
