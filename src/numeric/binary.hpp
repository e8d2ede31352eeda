// Binary {−1, +1} and ternary {−1, 0, +1} numbers.
//
// C++14, usable inside HLS kernels. One bit holds a binary number, 1 for +1; two bits hold a
// ternary one, in two's complement. Source: Courbariaux et al., "Binarized Neural Networks" (arXiv
// 1602.02830), and Umuroglu et al., "FINN" (arXiv 1612.07119), for the dot product by population
// count.
#pragma once

#include "numeric/integer.hpp"

namespace dovetail {
namespace numeric {

class Binary {
 public:
  constexpr Binary() : bit_(0) {}  // −1
  constexpr explicit Binary(bool plus) : bit_(plus ? 1 : 0) {}
  /// The sign of a number; +1 for zero.
  static constexpr Binary sign_of(std::int64_t number) { return Binary(number >= 0); }
  constexpr bool bit() const { return bit_ != 0; }
  constexpr Int<2> value() const { return 2 * bit_ - 1; }

 private:
  std::uint8_t bit_;
};

constexpr Binary operator*(Binary a, Binary b) {
  return Binary(a.bit() == b.bit());
}
constexpr bool operator==(Binary a, Binary b) {
  return a.bit() == b.bit();
}

class Ternary {
 public:
  constexpr Ternary() : value_(0) {}
  /// −1, 0 or +1: the number's sign.
  static constexpr Ternary sign_of(std::int64_t number) {
    Ternary result;
    result.value_ = number < 0 ? -1 : number > 0 ? 1 : 0;
    return result;
  }
  constexpr Int<2> value() const { return value_; }

 private:
  Int<2> value_;
};

constexpr bool operator==(Ternary a, Ternary b) {
  return a.value() == b.value();
}

/// A sign applied to an integer: no multiplier, W + 1 bits.
template <int W, bool Signed>
constexpr Int<W + 1> operator*(Binary a, const Integer<W, Signed>& b) {
  return a.bit() ? Int<W + 1>(b) : Int<W + 1>(-Int<W + 1>(b));
}
template <int W, bool Signed>
constexpr Int<W + 1> operator*(Ternary a, const Integer<W, Signed>& b) {
  return a.value() == 0 ? Int<W + 1>(0) : Binary::sign_of(a.value()) * b;
}

/// Bits set in a word.
constexpr int count_ones(std::uint64_t word) {
  const std::uint64_t pairs = word - (word >> 1 & 0x5555555555555555u);
  const std::uint64_t nibbles = (pairs & 0x3333333333333333u) + (pairs >> 2 & 0x3333333333333333u);
  const std::uint64_t bytes = (nibbles + (nibbles >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return static_cast<int>(bytes * 0x0101010101010101u >> 56);
}

/// Σ a·b over the binary numbers in two words, those with a bit in `valid`: the number of equal
/// signs less the number of unequal ones. What isn't valid adds zero, as padding must.
constexpr int binary_dot(std::uint64_t a, std::uint64_t b, std::uint64_t valid) {
  return count_ones(valid) - 2 * count_ones((a ^ b) & valid);
}

}  // namespace numeric
}  // namespace dovetail
