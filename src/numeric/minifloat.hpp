// Minifloat<E, M, S>: floating-point numbers of 16 bits and less.
//
// C++14, usable inside HLS kernels. Encoding is integer arithmetic on the bits of a float32, so
// that every host and kernel agrees. Sources: IEEE 754-2019 (float16, e5m2's special values); "OCP
// 8-bit Floating Point Specification (OFP8)" 1.0 for e4m3 and e5m2; "OCP Microscaling Formats (MX)
// Specification" 1.0 for the 6 and 4 bit elements.
#pragma once

#include "numeric/float_bits.hpp"
#include "numeric/rounding.hpp"

namespace dovetail {
namespace numeric {

enum class Specials {
  ieee,      // the highest exponent holds infinity and NaN
  nan_only,  // only the highest magnitude is NaN; no infinity (e4m3)
  none,      // every code is a number
};

/// What a number beyond the format's range becomes. Without infinity and NaN it is always the
/// highest number.
enum class Excess {
  saturate,     // the highest number; infinity too
  to_infinity,  // infinity, or NaN where there is none; the highest number toward zero
};

/// How to encode; `random` as for round_places.
struct Encoding {
  Rounding rounding = Rounding::nearest_even;
  Excess excess = Excess::saturate;
  constexpr Encoding() = default;
  constexpr Encoding(Rounding r, Excess e) : rounding(r), excess(e) {}
};

/// A float32 taken apart: ± significand · 2^exponent.
struct FloatParts {
  bool negative;
  bool nan;
  bool infinite;
  std::uint32_t significand;  // 24 bits, the hidden one included
  int exponent;               // of the significand's last bit
};
constexpr FloatParts float_parts(std::uint32_t bits) {
  const std::uint32_t field = bits >> 23 & 0xffu;
  const std::uint32_t fraction = bits & 0x7fffffu;
  return {bits >> 31 != 0, field == 0xffu && fraction != 0, field == 0xffu && fraction == 0,
          field == 0 ? fraction : fraction | 0x800000u,
          (field == 0 ? 1 : static_cast<int>(field)) - 150};
}

template <int E, int M, Specials S>
class Minifloat {
  static_assert(E >= 2 && E <= 8 && M >= 1 && E + M <= 15, "within float32, in 16 bits");

 public:
  static constexpr int exponent_bits = E;
  static constexpr int mantissa_bits = M;
  static constexpr Specials specials = S;
  static constexpr int width = 1 + E + M;
  static constexpr int bias = (1 << (E - 1)) - 1;
  static constexpr std::uint32_t sign_mask = 1u << (E + M);
  static constexpr std::uint32_t top = ((1u << E) - 1) << M;  // the highest exponent's codes
  static constexpr std::uint32_t highest_code = S == Specials::ieee       ? top - 1
                                                : S == Specials::nan_only ? sign_mask - 2
                                                                          : sign_mask - 1;
  /// Exponent of the highest number.
  static constexpr int highest_exponent = static_cast<int>(highest_code >> M) - bias;

  constexpr Minifloat() : code_(0) {}
  static constexpr Minifloat from_code(std::uint32_t code) {
    Minifloat result;
    result.code_ = static_cast<std::uint16_t>(code & (2 * sign_mask - 1));
    return result;
  }
  constexpr std::uint32_t code() const { return code_; }

  static Minifloat encode(float number, Encoding how = Encoding(), std::uint32_t random = 0) {
    return encode(float_parts(float_bits(number)), how, random);
  }
  /// The exponent need not be a float32's: block formats take their scale from it first. NaN
  /// becomes −0 where the format has none.
  static constexpr Minifloat encode(const FloatParts& parts, Encoding how, std::uint32_t random) {
    const std::uint32_t sign = parts.negative ? sign_mask : 0;
    if (parts.nan) return from_code(S == Specials::none ? sign_mask : sign | nan_magnitude());
    if (parts.infinite) return from_code(sign | excess(how.excess));
    return from_code(sign | magnitude(parts, how, random));
  }

  constexpr bool is_nan() const {
    const std::uint32_t positive = code_ & (sign_mask - 1);
    return S == Specials::ieee ? positive > top
                               : S == Specials::nan_only && positive == sign_mask - 1;
  }
  constexpr bool is_infinite() const {
    return S == Specials::ieee && (code_ & (sign_mask - 1)) == top;
  }

  /// Exact.
  float value() const { return float_of_bits(value_bits()); }
  constexpr std::uint32_t value_bits() const {
    const std::uint32_t sign = (code_ & sign_mask) != 0 ? 0x80000000u : 0;
    if (is_nan()) return sign | 0x7fc00000u;
    if (is_infinite()) return sign | 0x7f800000u;
    std::uint32_t fraction = (code_ & ((1u << M) - 1)) << (23 - M);
    int field = static_cast<int>((code_ & (sign_mask - 1)) >> M);
    if (E == 8) return sign | static_cast<std::uint32_t>(field) << 23 | fraction;
    if (field == 0) {
      if (fraction == 0) return sign;
      field = 1;  // subnormal: a float32 has room to make it normal
      for (; (fraction & 0x800000u) == 0; --field) fraction <<= 1;
    }
    return sign | static_cast<std::uint32_t>(field - bias + 127) << 23 | (fraction & 0x7fffffu);
  }

 private:
  static constexpr std::uint32_t nan_magnitude() {
    return S == Specials::ieee ? top | 1u << (M - 1) : sign_mask - 1;
  }
  static constexpr std::uint32_t excess(Excess law) {
    return law == Excess::saturate || S == Specials::none ? highest_code
           : S == Specials::ieee                          ? top
                                                          : nan_magnitude();
  }

  static constexpr std::uint32_t magnitude(const FloatParts& parts, Encoding how,
                                           std::uint32_t random) {
    if (parts.significand == 0) return 0;
    std::uint32_t significand = parts.significand;
    int exponent = parts.exponent;
    if (E < 8) {  // a subnormal float32 may be a normal number under a block's scale
      for (; (significand & 0x800000u) == 0; --exponent) significand <<= 1;
    }
    // The last place of the result; below the least normal number it stays where it is.
    const int normal = exponent + 23 - M;
    const int least = 1 - bias - M;
    const int last = normal > least ? normal : least;
    if (last > highest_exponent - M) {
      return how.rounding == Rounding::toward_zero ? highest_code : excess(how.excess);
    }
    // The hidden bit adds one to the exponent field, and so does a carry out of the mantissa.
    const std::uint32_t rounded = round_places(significand, last - exponent, how.rounding, random);
    const std::uint32_t code = (static_cast<std::uint32_t>(last - least) << M) + rounded;
    if (code <= highest_code) return code;
    return how.rounding == Rounding::toward_zero ? highest_code : excess(how.excess);
  }

  std::uint16_t code_;
};

using BFloat16 = Minifloat<8, 7, Specials::ieee>;
using Float16 = Minifloat<5, 10, Specials::ieee>;
using E5m2 = Minifloat<5, 2, Specials::ieee>;
using E4m3 = Minifloat<4, 3, Specials::nan_only>;
using E2m3 = Minifloat<2, 3, Specials::none>;
using E3m2 = Minifloat<3, 2, Specials::none>;
using E2m1 = Minifloat<2, 1, Specials::none>;

}  // namespace numeric
}  // namespace dovetail
