// OCP MX: 32 elements of 8, 6 or 4 bits share a scale that is a power of two.
//
// C++14, usable inside HLS kernels. Source: "OCP Microscaling Formats (MX) Specification" 1.0,
// sections 5 (formats) and 6.3 (conversion: the scale is the largest power of two in the block over
// the largest power of two of the element format; elements saturate).
#pragma once

#include "numeric/integer.hpp"
#include "numeric/minifloat.hpp"

namespace dovetail {
namespace numeric {

constexpr int mx_block = 32;
constexpr std::uint32_t e8m0_nan = 255;

/// The element of mxint8: two's complement steps of 1/64; −128 stays unused, for symmetry.
class MxInt8 {
 public:
  static constexpr int width = 8;
  static constexpr int highest_exponent = 0;
  constexpr MxInt8() : code_(0) {}
  static constexpr MxInt8 from_code(std::uint32_t code) {
    MxInt8 result;
    result.code_ = code;
    return result;
  }
  constexpr std::uint32_t code() const { return Uint<8>(code_).value(); }
  float value() const { return static_cast<float>(code_.to_int()) / 64; }

  static constexpr MxInt8 encode(const FloatParts& parts, Encoding how, std::uint32_t random) {
    const std::uint32_t rounded =
        -6 - parts.exponent <= 0
            ? 127
            : round_places(parts.significand, -6 - parts.exponent, how.rounding, random);
    const int magnitude = rounded < 127 ? static_cast<int>(rounded) : 127;
    MxInt8 result;
    result.code_ = parts.negative ? -magnitude : magnitude;
    return result;
  }

 private:
  Int<8> code_;
};

/// Element is a Minifloat or MxInt8; `scale` is 2^(scale − 127) (E8M0), NaN for all where 255.
template <typename Element>
struct MxBlock {
  std::uint8_t scale;
  Element element[mx_block];
};
using MxFp8 = MxBlock<E4m3>;
using MxFp8E5m2 = MxBlock<E5m2>;
using MxFp6E2m3 = MxBlock<E2m3>;
using MxFp6E3m2 = MxBlock<E3m2>;
using MxFp4 = MxBlock<E2m1>;
using MxInt8Block = MxBlock<MxInt8>;

/// The block of 32 numbers. A NaN or infinity among them makes all of them NaN. Stochastic rounding
/// takes random_bits(key, first + i) for element i.
template <typename Element>
MxBlock<Element> mx_encode(const float* numbers, Rounding rounding = Rounding::nearest_even,
                           std::uint32_t key = 0, std::uint32_t first = 0) {
  MxBlock<Element> block = {};
  int field = 0;  // the largest biased exponent; 0 of subnormal numbers
  for (int i = 0; i < mx_block; ++i) {
    field = larger(field, static_cast<int>(float_bits(numbers[i]) >> 23 & 0xffu));
  }
  const int scale = larger(field - Element::highest_exponent, 0);
  block.scale = static_cast<std::uint8_t>(field == 255 ? static_cast<int>(e8m0_nan) : scale);
  if (field == 255) return block;
  for (int i = 0; i < mx_block; ++i) {
    FloatParts parts = float_parts(float_bits(numbers[i]));
    parts.exponent -= scale - 127;
    block.element[i] = Element::encode(parts, Encoding(rounding, Excess::saturate),
                                       random_bits(key, first + static_cast<std::uint32_t>(i)));
  }
  return block;
}

/// 2^(scale − 127), or NaN.
inline float e8m0_value(std::uint32_t scale) {
  return float_of_bits(scale == e8m0_nan ? 0x7fc00000u : scale == 0 ? 0x00400000u : scale << 23);
}

/// Exact for every block that mx_encode made; infinite where the product is beyond float32.
template <typename Element>
float mx_value(const MxBlock<Element>& block, int i) {
  return block.element[i].value() * e8m0_value(block.scale);
}

}  // namespace numeric
}  // namespace dovetail
