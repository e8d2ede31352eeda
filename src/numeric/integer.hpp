// Int<W> and Uint<W>: integers of 1 to 128 bits with the semantics of Vitis HLS' ap_int and
// ap_uint.
//
// C++14, usable inside HLS kernels; hls/vitis/numbers.hpp puts ap_int in their place. Results are
// as wide as they must be (a sum one bit wider, a product as wide as both operands), an assignment
// to fewer bits wraps; numeric/saturate.hpp clamps instead. Built-in integers take part with their
// own width, so an accumulator's width is what its declaration says. Source: AMD UG1399, "Arbitrary
// Precision Data Types Library". Left out: strings, concatenation, reductions, more than 128 bits.
#pragma once

#include "numeric/storage.hpp"

namespace dovetail {
namespace numeric {

template <int W, bool Signed>
class Integer;

template <int W>
using Int = Integer<W, true>;
template <int W>
using Uint = Integer<W, false>;

/// Width and sign of an Integer or a built-in integer; `known` is false for all else.
template <typename T, typename = void>
struct IntegerTraits {
  static constexpr bool known = false;
  static constexpr bool ours = false;
};
template <int W, bool Signed>
struct IntegerTraits<Integer<W, Signed>> {
  static constexpr bool known = true;
  static constexpr bool ours = true;
  static constexpr int width = W;
  static constexpr bool is_signed = Signed;
};
template <typename T>
struct IntegerTraits<T, std::enable_if_t<std::is_integral<T>::value>> {
  static constexpr bool known = true;
  static constexpr bool ours = false;
  static constexpr int width = std::is_same<T, bool>::value ? 1 : 8 * static_cast<int>(sizeof(T));
  static constexpr bool is_signed = std::is_signed<T>::value;
};

constexpr int larger(int a, int b) {
  return a > b ? a : b;
}
constexpr int smaller(int a, int b) {
  return a < b ? a : b;
}

/// Types of a ∘ b; none where neither A nor B is an Integer, or one of them is no integer at all.
template <typename A, typename B, typename = void>
struct IntegerResult {};
template <typename A, typename B>
struct IntegerResult<A, B,
                     std::enable_if_t<IntegerTraits<A>::known && IntegerTraits<B>::known &&
                                      (IntegerTraits<A>::ours || IntegerTraits<B>::ours)>> {
  using L = IntegerTraits<A>;
  using R = IntegerTraits<B>;
  static constexpr bool either_signed = L::is_signed || R::is_signed;
  // Each operand as wide as it is once both have the same sign.
  static constexpr int common = larger(L::width + (R::is_signed && !L::is_signed ? 1 : 0),
                                       R::width + (L::is_signed && !R::is_signed ? 1 : 0));
  using Sum = Integer<common + 1, either_signed>;
  using Difference = Integer<common + 1, true>;
  using Product = Integer<L::width + R::width, either_signed>;
  using Quotient = Integer<L::width + (R::is_signed ? 1 : 0), either_signed>;
  using Remainder =
      Integer<smaller(L::width, R::width + (!R::is_signed && L::is_signed ? 1 : 0)), L::is_signed>;
  using Logic = Integer<common, either_signed>;
  using Truth = bool;
  using Exact = StorageOf<smaller(common + 1, max_width), true>;  // holds both operands
};

template <int W, bool Signed>
class Integer {
 public:
  using Value = StorageOf<W, Signed>;
  static constexpr int width = W;
  static constexpr bool is_signed = Signed;

  constexpr Integer() : value_(0) {}
  /// The low W bits; toward zero first for floating-point numbers, which must lie within 127 bits.
  template <typename T, typename = std::enable_if_t<std::is_arithmetic<T>::value>>
  constexpr Integer(T value) : value_(wrap<W, Signed>(whole(value))) {}
  template <int W2, bool Signed2>
  constexpr Integer(const Integer<W2, Signed2>& other) : value_(wrap<W, Signed>(other.value())) {}

  /// From the 128-bit integer that std::is_arithmetic may not know.
  static constexpr Integer from_code(Int128 code) {
    Integer result;
    result.value_ = wrap<W, Signed>(code);
    return result;
  }

  constexpr Value value() const { return value_; }
  constexpr operator Value() const { return value_; }
  constexpr int to_int() const { return static_cast<int>(value_); }
  constexpr unsigned to_uint() const { return static_cast<unsigned>(value_); }
  constexpr long long to_int64() const { return static_cast<long long>(value_); }
  constexpr unsigned long long to_uint64() const { return static_cast<unsigned long long>(value_); }
  constexpr double to_double() const { return static_cast<double>(value_); }
  constexpr int length() const { return W; }

  /// Bits high … low as an unsigned number.
  constexpr Uint<W> range(int high, int low) const {
    return static_cast<StorageOf<W, false>>(Uint<W>(*this).value() >> low) &
           static_cast<StorageOf<W, false>>(~Uint128{0} >> (max_width - 1 - high + low));
  }
  constexpr bool operator[](int bit) const { return (value_ >> bit & 1) != 0; }
  constexpr void set_bit(int bit, bool on) {
    const Value mask = static_cast<Value>(Value{1} << bit);
    value_ = wrap<W, Signed>(on ? value_ | mask : value_ & ~mask);
  }

  template <typename T>
  constexpr Integer& operator+=(const T& other) {
    return *this = *this + other;
  }
  template <typename T>
  constexpr Integer& operator-=(const T& other) {
    return *this = *this - other;
  }
  template <typename T>
  constexpr Integer& operator*=(const T& other) {
    return *this = *this * other;
  }
  template <typename T>
  constexpr Integer& operator&=(const T& other) {
    return *this = *this & other;
  }
  template <typename T>
  constexpr Integer& operator|=(const T& other) {
    return *this = *this | other;
  }
  template <typename T>
  constexpr Integer& operator^=(const T& other) {
    return *this = *this ^ other;
  }
  constexpr Integer& operator<<=(int places) { return *this = *this << places; }
  constexpr Integer& operator>>=(int places) { return *this = *this >> places; }
  constexpr Integer& operator++() { return *this += 1; }
  constexpr Integer& operator--() { return *this -= 1; }
  constexpr Integer operator++(int) {
    const Integer before = *this;
    ++*this;
    return before;
  }
  constexpr Integer operator--(int) {
    const Integer before = *this;
    --*this;
    return before;
  }

  /// Exact: a bit wider and signed.
  constexpr auto operator-() const { return Uint<1>(0) - *this; }
  constexpr Integer operator+() const { return *this; }
  /// As many bits, all of them flipped: unlike a built-in integer, an unsigned one stays unsigned.
  constexpr Integer operator~() const { return from_code(-1 - static_cast<Int128>(value_)); }
  constexpr bool operator!() const { return value_ == 0; }

 private:
  template <typename T>
  static constexpr std::enable_if_t<std::is_integral<T>::value, T> whole(T value) {
    return value;
  }
  template <typename T>
  static constexpr std::enable_if_t<!std::is_integral<T>::value, Int128> whole(T value) {
    return static_cast<Int128>(value);
  }

  Value value_;
};

// Both operands go to the result's storage, where the exact result fits.
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Sum operator+(const A& a, const B& b) {
  using Sum = typename IntegerResult<A, B>::Sum;
  using Value = typename Sum::Value;
  return Sum::from_code(static_cast<Value>(static_cast<Value>(a) + static_cast<Value>(b)));
}
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Difference operator-(const A& a, const B& b) {
  using Difference = typename IntegerResult<A, B>::Difference;
  using Value = typename Difference::Value;
  return Difference::from_code(static_cast<Value>(static_cast<Value>(a) - static_cast<Value>(b)));
}
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Product operator*(const A& a, const B& b) {
  using Product = typename IntegerResult<A, B>::Product;
  using Value = typename Product::Value;
  return Product::from_code(static_cast<Value>(static_cast<Value>(a) * static_cast<Value>(b)));
}
/// Toward zero. b ≠ 0, and b > 0 where a is unsigned: there AMD's simulation has other results.
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Quotient operator/(const A& a, const B& b) {
  using Exact = typename IntegerResult<A, B>::Exact;
  return IntegerResult<A, B>::Quotient::from_code(static_cast<Exact>(a) / static_cast<Exact>(b));
}
/// With the sign of a; b as for division.
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Remainder operator%(const A& a, const B& b) {
  using Exact = typename IntegerResult<A, B>::Exact;
  return IntegerResult<A, B>::Remainder::from_code(static_cast<Exact>(a) % static_cast<Exact>(b));
}
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Logic operator&(const A& a, const B& b) {
  using Value = typename IntegerResult<A, B>::Logic::Value;
  return IntegerResult<A, B>::Logic::from_code(static_cast<Value>(a) & static_cast<Value>(b));
}
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Logic operator|(const A& a, const B& b) {
  using Value = typename IntegerResult<A, B>::Logic::Value;
  return IntegerResult<A, B>::Logic::from_code(static_cast<Value>(a) | static_cast<Value>(b));
}
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Logic operator^(const A& a, const B& b) {
  using Value = typename IntegerResult<A, B>::Logic::Value;
  return IntegerResult<A, B>::Logic::from_code(static_cast<Value>(a) ^ static_cast<Value>(b));
}

/// Within the same width: bits shifted out are lost. A negative number of places shifts the other
/// way.
template <int W, bool Signed>
constexpr Integer<W, Signed> operator<<(const Integer<W, Signed>& a, int places);
template <int W, bool Signed>
constexpr Integer<W, Signed> operator>>(const Integer<W, Signed>& a, int places) {
  if (places < 0) return a << -places;
  if (places >= W) return a.value() < 0 ? -1 : 0;
  return Integer<W, Signed>::from_code(a.value() >> places);
}
template <int W, bool Signed>
constexpr Integer<W, Signed> operator<<(const Integer<W, Signed>& a, int places) {
  if (places < 0) return a >> -places;
  if (places >= W) return 0;
  return Integer<W, Signed>::from_code(
      static_cast<Int128>(static_cast<Uint128>(a.value()) << places));
}

// Comparisons are of the numbers, whatever their widths and signs.
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Truth operator==(const A& a, const B& b) {
  using Exact = typename IntegerResult<A, B>::Exact;
  return static_cast<Exact>(a) == static_cast<Exact>(b);
}
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Truth operator<(const A& a, const B& b) {
  using Exact = typename IntegerResult<A, B>::Exact;
  return static_cast<Exact>(a) < static_cast<Exact>(b);
}
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Truth operator!=(const A& a, const B& b) {
  return !(a == b);
}
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Truth operator>(const A& a, const B& b) {
  return b < a;
}
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Truth operator<=(const A& a, const B& b) {
  return !(b < a);
}
template <typename A, typename B>
constexpr typename IntegerResult<A, B>::Truth operator>=(const A& a, const B& b) {
  return !(a < b);
}

}  // namespace numeric
}  // namespace dovetail
