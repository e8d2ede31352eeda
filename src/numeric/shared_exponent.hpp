// Block floating point as the training kernels store it: 16 mantissas under one exponent.
//
// C++14, usable inside HLS kernels. The numbers are those of numeric/block_float.hpp, with their
// width known at run time only and the exponent of a mantissa's last place without a bias: value =
// mantissa · 2^exponent. For training, blocks lie along the dimension that is summed (Drumond et
// al., "Training DNNs with Hybrid Block Floating Point", NeurIPS 2018, arXiv 1804.01526).
#pragma once

#include <cstdint>

#include "numeric/float_bits.hpp"
#include "numeric/quantise_real.hpp"

namespace dovetail {
namespace numeric {

constexpr int shared_block = 16;

// So that the product of two blocks' scales is a normal float.
constexpr std::int32_t shared_exponent_lowest = -60;
constexpr std::int32_t shared_exponent_highest = 60;

/// 2^exponent, exponent in [−126, 127].
inline float power_of_two(std::int32_t exponent) {
  return float_of_bits(static_cast<std::uint32_t>(exponent + 127) << 23);
}

/// The exponent under which the block's largest magnitude, given by its bits, takes all of `bits`
/// bits: its mantissa lies in [2^(bits−2), 2^(bits−1)), and rounds to the largest code at most.
inline std::int32_t exponent_for(std::uint32_t largest, std::int32_t bits) {
  const std::int32_t above = static_cast<std::int32_t>(largest >> 23) - 126;  // largest < 2^above
  const std::int32_t exponent = above - (bits - 1);
  const std::int32_t raised = exponent > shared_exponent_lowest ? exponent : shared_exponent_lowest;
  return raised < shared_exponent_highest ? raised : shared_exponent_highest;
}
inline std::int32_t exponent_for(float largest, std::int32_t bits) {
  return exponent_for(magnitude_bits(largest), bits);
}

}  // namespace numeric
}  // namespace dovetail
