// Rounding of magnitudes by the laws that floating-point, block and microscaling formats share, and
// the random bits of stochastic rounding.
//
// C++14, usable inside HLS kernels; unsigned 32-bit arithmetic only, so that OpenCL C repeats it
// bit for bit. Signs stay apart: the laws are symmetric about zero.
#pragma once

#include <cstdint>

namespace dovetail {
namespace numeric {

enum class Rounding {
  toward_zero,
  nearest_even,  // ties to the even neighbour
  nearest_away,  // ties away from zero
  stochastic,    // up with the probability of the dropped fraction
};

/// magnitude / 2^places, rounded; places in [0, 2^30]. For Rounding::stochastic, `random` holds 32
/// uniform bits: the result is one greater when the dropped fraction's first 32 bits, as an
/// integer, are above it. What a fraction has below 2^−32 is lost: fractions that small round
/// toward zero.
constexpr std::uint32_t round_places(std::uint32_t magnitude, int places, Rounding rounding,
                                     std::uint32_t random) {
  if (places <= 0) return magnitude;
  const std::uint32_t quotient = places < 32 ? magnitude >> places : 0;
  // The dropped fraction in units of 2^−32; what a longer one loses leaves it below one half.
  const std::uint32_t fraction = places <= 32  ? magnitude << (32 - places)
                                 : places < 64 ? magnitude >> (places - 32)
                                               : 0;
  const std::uint32_t half = 0x80000000u;
  switch (rounding) {
    case Rounding::toward_zero:
      return quotient;
    case Rounding::nearest_even:
      return quotient + (fraction > half || (fraction == half && (quotient & 1) != 0) ? 1 : 0);
    case Rounding::nearest_away:
      return quotient + (fraction >= half ? 1 : 0);
    case Rounding::stochastic:
      return quotient + (fraction > random ? 1 : 0);
  }
  return quotient;
}

/// An integer hash in which every output bit depends on every input bit; a bijection. Source:
/// the 32-bit finaliser of MurmurHash3 (Appleby, public domain).
constexpr std::uint32_t mix(std::uint32_t bits) {
  bits ^= bits >> 16;
  bits *= 0x85ebca6bu;
  bits ^= bits >> 13;
  bits *= 0xc2b2ae35u;
  bits ^= bits >> 16;
  return bits;
}

/// 32 random bits for element `index` of stream `stream` under `seed`: a counter, not a state, so
/// that hosts, OpenCL and HLS kernels draw the same bits in any order. A stream is one rounded
/// tensor: its layer, its step. One multiplication and a mix per element; the stream's key is
/// constant over a tensor. Two chained mixes, so that neighbouring seeds and streams share nothing:
///   uint key = mix(mix(seed) + stream * 0x9e3779b9);
///   uint bits = mix(mix(key + index * 0x85157af5) ^ key);
constexpr std::uint32_t stream_key(std::uint32_t seed, std::uint32_t stream) {
  return mix(mix(seed) + stream * 0x9e3779b9u);
}
constexpr std::uint32_t random_bits(std::uint32_t key, std::uint32_t index) {
  return mix(mix(key + index * 0x85157af5u) ^ key);
}

}  // namespace numeric
}  // namespace dovetail
