// Stochastic rounding with random bits from a counter, so that any order and any number of lanes
// give the same draws.
//
// C++14: twins, HLS kernels and tests share this one header. A value is rounded up with the
// probability of its fraction, which makes rounding unbiased (Gupta et al., "Deep Learning with
// Limited Numerical Precision", ICML 2015, arXiv 1502.02551, section 3).
#pragma once

#include <cstdint>

namespace dovetail {
namespace numeric {

/// 32 random bits for number `counter` of the sequence `key`: the finaliser lowbias32 by C. Wellons
/// ("Prospecting for Hash Functions", 2018, public domain), with the key put in between its rounds
/// too, so that two keys do not walk through the same sequence.
constexpr std::uint32_t random_bits(std::uint32_t key, std::uint32_t counter) {
  std::uint32_t x = counter ^ key;
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x += key;
  x *= 0x846ca68bU;
  return x ^ (x >> 16);
}

/// A threshold for round_at, uniform in [0, 1): the upper 24 of the random bits.
constexpr float random_threshold(std::uint32_t key, std::uint32_t counter) {
  return static_cast<float>(static_cast<std::int32_t>(random_bits(key, counter) >> 8)) *
         (1.0F / 16777216.0F);
}

/// The threshold that rounds to nearest, ties toward +∞: the largest float below one half.
constexpr float nearest_threshold = 0.5F - 1.0F / 33554432.0F;

/// ⌊value⌋, plus one where the fraction is above `threshold`. |value| < 2^31. The fraction of a
/// negative value below 2^−25 counts as 1, the rest is exact.
constexpr std::int32_t round_at(float value, float threshold) {
  const std::int32_t toward_zero = static_cast<std::int32_t>(value);
  const std::int32_t down =
      toward_zero - (static_cast<float>(toward_zero) > value ? 1 : 0);
  const float fraction = value - static_cast<float>(down);
  return down + (fraction > threshold ? 1 : 0);
}

/// The largest code of `bits` bits, symmetric around zero.
constexpr std::int32_t largest_code(std::int32_t bits) {
  return (std::int32_t{1} << (bits - 1)) - 1;
}

/// round_at, then clamped to ±largest. |value| may be anything finite.
constexpr std::int32_t quantise_at(float value, float threshold, std::int32_t largest) {
  const float bound = static_cast<float>(largest) + 1.0F;
  const float inside = value < bound ? (value > -bound ? value : -bound) : bound;
  const std::int32_t code = round_at(inside, threshold);
  const std::int32_t raised = code > -largest ? code : -largest;
  return raised < largest ? raised : largest;
}

}  // namespace numeric
}  // namespace dovetail
