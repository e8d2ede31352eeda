// Block floating point as the training kernels store it: 16 mantissas under one exponent.
//
// C++14: twins, HLS kernels and tests share this one header. value = mantissa · 2^exponent, K-bit
// mantissas clamped to ±(2^(K−1) − 1). After Köster et al. 2017 (Flexpoint, arXiv 1711.02213) and
// Drumond et al. 2018 (arXiv 1804.01526), with blocks along the dimension that is summed.
#pragma once

#include <cstdint>
#include <cstring>

#include "numeric/stochastic.hpp"

namespace dovetail {
namespace numeric {

constexpr int shared_block = 16;

// So that the product of two blocks' scales is a normal float.
constexpr std::int32_t shared_exponent_lowest = -60;
constexpr std::int32_t shared_exponent_highest = 60;

/// 2^exponent, exponent in [−126, 127].
inline float power_of_two(std::int32_t exponent) {
  const std::uint32_t bits = static_cast<std::uint32_t>(exponent + 127) << 23;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// The exponent under which `largest` ≥ 0, the block's largest magnitude, takes all of `bits` bits:
/// its mantissa lies in [2^(bits−2), 2^(bits−1)), and rounds to the largest code at most.
inline std::int32_t exponent_for(float largest, std::int32_t bits) {
  std::uint32_t pattern;
  std::memcpy(&pattern, &largest, sizeof pattern);
  const std::int32_t above = static_cast<std::int32_t>(pattern >> 23) - 126;  // largest < 2^above
  const std::int32_t exponent = above - (bits - 1);
  const std::int32_t raised = exponent > shared_exponent_lowest ? exponent : shared_exponent_lowest;
  return raised < shared_exponent_highest ? raised : shared_exponent_highest;
}

}  // namespace numeric
}  // namespace dovetail
