// Fixed<W, I, Q, O> and Ufixed: numbers with a binary point, with the semantics of Vitis HLS'
// ap_fixed and ap_ufixed.
//
// C++14, usable inside HLS kernels; hls/vitis/numbers.hpp puts ap_fixed in their place. W bits, I
// of them before the point (I may be negative or beyond W). Sums and products are exact and as wide
// as they must be; rounding and overflow happen where a value is stored: an accumulator is a
// variable of its own width and modes. Source: AMD UG1399, "Arbitrary Precision Fixed-Point Data
// Types"; IEEE 1666 (SystemC) has the same modes. Left out: division, shifts, AP_WRAP_SM, saturated
// bits, more than 64 bits stored. Beyond them: stochastic rounding, by numeric/rounding.hpp's law.
#pragma once

#include <cstring>

#include "numeric/integer.hpp"
#include "numeric/rounding.hpp"

namespace dovetail {
namespace numeric {

/// What happens to bits below the last place.
enum class Quantisation {
  truncate,       // AP_TRN: toward −∞
  truncate_zero,  // AP_TRN_ZERO: toward zero
  nearest_up,     // AP_RND: to nearest, ties toward +∞
  nearest_zero,   // AP_RND_ZERO: ties toward zero
  nearest_down,   // AP_RND_MIN_INF: ties toward −∞
  nearest_away,   // AP_RND_INF: ties away from zero
  nearest_even,   // AP_RND_CONV: ties to even
};

/// What happens to numbers out of range.
enum class Overflow {
  wrap,                // AP_WRAP, no saturated bits
  saturate,            // AP_SAT
  saturate_zero,       // AP_SAT_ZERO: becomes zero
  saturate_symmetric,  // AP_SAT_SYM: as AP_SAT, but never below −highest
};

/// value / 2^drop by the law of Q, drop ≥ 1. V has at least two bits to spare.
template <Quantisation Q, typename V>
constexpr V shift_right(V value, int drop) {
  const V quotient = static_cast<V>(value >> drop);
  const V rest = static_cast<V>(value - static_cast<V>(quotient * (V{1} << drop)));
  const V half = static_cast<V>(V{1} << (drop - 1));
  const bool above = rest > half, tie = rest == half, negative = value < 0;
  const bool up = Q == Quantisation::truncate        ? false
                  : Q == Quantisation::truncate_zero ? negative && rest != 0
                  : Q == Quantisation::nearest_up    ? above || tie
                  : Q == Quantisation::nearest_zero  ? above || (tie && negative)
                  : Q == Quantisation::nearest_down  ? above
                  : Q == Quantisation::nearest_away  ? above || (tie && !negative)
                                                     : above || (tie && (quotient & 1) != 0);
  return static_cast<V>(quotient + (up ? 1 : 0));
}

/// The law of Q, for FixedPoint.
template <Quantisation Q>
struct RoundByMode {
  template <typename V>
  constexpr V operator()(V value, int drop) const {
    return shift_right<Q>(value, drop);
  }
};

/// round_places' stochastic law, for FixedPoint: the magnitude of value / 2^drop rounded down, one
/// more where the dropped fraction's first 32 bits, as an integer, are above `random`.
struct RoundByChance {
  std::uint32_t random;
  template <typename V>
  constexpr V operator()(V value, int drop) const {
    const V magnitude = static_cast<V>(value < 0 ? -value : value);
    const V quotient = static_cast<V>(magnitude >> drop);
    const V rest = static_cast<V>(magnitude - static_cast<V>(quotient * (V{1} << drop)));
    const std::uint32_t fraction = drop <= 32 ? static_cast<std::uint32_t>(rest) << (32 - drop)
                                              : static_cast<std::uint32_t>(rest >> (drop - 32));
    const V rounded = static_cast<V>(quotient + (fraction > random ? 1 : 0));
    return static_cast<V>(value < 0 ? -rounded : rounded);
  }
};

/// W bits from an integer by the law of O.
template <int W, bool Signed, Overflow O, typename V>
constexpr StorageOf<W, Signed> fit(V value) {
  const V high = static_cast<V>(highest_code<W, Signed>());
  const V low = O == Overflow::saturate_symmetric && Signed
                    ? static_cast<V>(-high)
                    : static_cast<V>(lowest_code<W, Signed>());
  return O == Overflow::wrap             ? wrap<W, Signed>(value)
         : value >= low && value <= high ? static_cast<StorageOf<W, Signed>>(value)
         : O == Overflow::saturate_zero
             ? StorageOf<W, Signed>{0}
             : static_cast<StorageOf<W, Signed>>(value < low ? low : high);
}

template <int W, int I, Quantisation Q, Overflow O, bool Signed>
class FixedPoint;

template <int W, int I, Quantisation Q = Quantisation::truncate, Overflow O = Overflow::wrap>
using Fixed = FixedPoint<W, I, Q, O, true>;
template <int W, int I, Quantisation Q = Quantisation::truncate, Overflow O = Overflow::wrap>
using Ufixed = FixedPoint<W, I, Q, O, false>;

/// The fixed-point form of an operand: integers have their point behind the last bit.
template <typename T, typename = void>
struct FixedTraits {
  static constexpr bool known = false;
  static constexpr bool ours = false;
};
template <int W, int I, Quantisation Q, Overflow O, bool Signed>
struct FixedTraits<FixedPoint<W, I, Q, O, Signed>> {
  static constexpr bool known = true;
  static constexpr bool ours = true;
  static constexpr int integer_bits = I;
  static constexpr int fraction_bits = W - I;
  static constexpr bool is_signed = Signed;
  static constexpr auto code(const FixedPoint<W, I, Q, O, Signed>& value) { return value.code(); }
};
template <typename T>
struct FixedTraits<T, std::enable_if_t<IntegerTraits<T>::known>> {
  static constexpr bool known = true;
  static constexpr bool ours = false;
  static constexpr int integer_bits = IntegerTraits<T>::width;
  static constexpr int fraction_bits = 0;
  static constexpr bool is_signed = IntegerTraits<T>::is_signed;
  static constexpr T code(T value) { return value; }
};

/// Types of a ∘ b; none where neither A nor B is a fixed-point number.
template <typename A, typename B, typename = void>
struct FixedResult {};
template <typename A, typename B>
struct FixedResult<A, B,
                   std::enable_if_t<FixedTraits<A>::known && FixedTraits<B>::known &&
                                    (FixedTraits<A>::ours || FixedTraits<B>::ours)>> {
  using L = FixedTraits<A>;
  using R = FixedTraits<B>;
  static constexpr bool either_signed = L::is_signed || R::is_signed;
  static constexpr int integer_bits =
      larger(L::integer_bits + (R::is_signed && !L::is_signed ? 1 : 0),
             R::integer_bits + (L::is_signed && !R::is_signed ? 1 : 0)) +
      1;
  static constexpr int fraction_bits = larger(L::fraction_bits, R::fraction_bits);
  template <int Integer, int Fraction, bool S>
  using Exactly =
      FixedPoint<Integer + Fraction, Integer, Quantisation::truncate, Overflow::wrap, S>;
  using Sum = Exactly<integer_bits, fraction_bits, either_signed>;
  using Difference = Exactly<integer_bits, fraction_bits, true>;
  using Product = Exactly<L::integer_bits + R::integer_bits, L::fraction_bits + R::fraction_bits,
                          either_signed>;
  using Truth = bool;
  using Exact = StorageOf<integer_bits + fraction_bits, true>;  // holds both, points aligned
  static constexpr Exact left(const A& a) {
    return static_cast<Exact>(static_cast<Exact>(L::code(a)) *
                              (Exact{1} << (fraction_bits - L::fraction_bits)));
  }
  static constexpr Exact right(const B& b) {
    return static_cast<Exact>(static_cast<Exact>(R::code(b)) *
                              (Exact{1} << (fraction_bits - R::fraction_bits)));
  }
};

template <int W, int I, Quantisation Q, Overflow O, bool Signed>
class FixedPoint {
  static_assert(W <= 64, "a fixed-point number has at most 64 bits");

 public:
  using Code = StorageOf<W, Signed>;
  static constexpr int width = W;
  static constexpr int iwidth = I;
  static constexpr bool is_signed = Signed;

  constexpr FixedPoint() : code_(0) {}
  /// From an integer or a fixed-point number: rounded by Q, then fitted by O.
  template <typename T, typename = std::enable_if_t<FixedTraits<T>::known>>
  constexpr FixedPoint(const T& value)
      : code_(stored<FixedTraits<T>::integer_bits, FixedTraits<T>::fraction_bits>(
            FixedTraits<T>::code(value), RoundByMode<Q>())) {}
  /// From a finite number.
  FixedPoint(double value) : code_(stored(value, RoundByMode<Q>())) {}
  FixedPoint(float value) : FixedPoint(static_cast<double>(value)) {}

  /// As the constructors, but rounded stochastically instead of by Q: to one of the two neighbours,
  /// away from zero with the probability of the dropped fraction. `random` holds 32 uniform bits,
  /// as random_bits gives them; what a fraction has below 2^−32 is lost.
  template <typename T, typename = std::enable_if_t<FixedTraits<T>::known>>
  static constexpr FixedPoint stochastic(const T& value, std::uint32_t random) {
    return from_code(stored<FixedTraits<T>::integer_bits, FixedTraits<T>::fraction_bits>(
        FixedTraits<T>::code(value), RoundByChance{random}));
  }
  static FixedPoint stochastic(double value, std::uint32_t random) {
    return from_code(stored(value, RoundByChance{random}));
  }
  static FixedPoint stochastic(float value, std::uint32_t random) {
    return stochastic(static_cast<double>(value), random);
  }

  /// The number code · 2^(I − W), from the low W bits of `code`.
  template <typename T>
  static constexpr FixedPoint from_code(T code) {
    FixedPoint result;
    result.code_ = wrap<W, Signed>(code);
    return result;
  }
  constexpr Code code() const { return code_; }

  /// Nearest double; exact up to 53 bits.
  constexpr double to_double() const {
    double scale = 1;
    for (int i = 0; i < W - I; ++i) scale /= 2;
    for (int i = 0; i < I - W; ++i) scale *= 2;
    return static_cast<double>(code_) * scale;
  }
  constexpr float to_float() const { return static_cast<float>(to_double()); }

  template <typename T>
  constexpr FixedPoint& operator+=(const T& other) {
    return *this = FixedPoint(*this + other);
  }
  template <typename T>
  constexpr FixedPoint& operator-=(const T& other) {
    return *this = FixedPoint(*this - other);
  }
  template <typename T>
  constexpr FixedPoint& operator*=(const T& other) {
    return *this = FixedPoint(*this * other);
  }
  constexpr Fixed<W + 1, I + 1> operator-() const {
    return Fixed<W + 1, I + 1>::from_code(-static_cast<StorageOf<W + 1, true>>(code_));
  }

 private:
  /// From a code with its point before the last FromFraction bits.
  template <int FromInteger, int FromFraction, typename T, typename Law>
  static constexpr Code stored(T code, Law law) {
    constexpr int drop = FromFraction - (W - I);
    // Two bits to spare for rounding and for the sign; as narrow as can be.
    constexpr int bits = larger(FromInteger + FromFraction + larger(-drop, 0), W);
    using Wide = StorageOf<larger(bits, drop) + 2, true>;
    return drop > 0 ? fit<W, Signed, O>(law(static_cast<Wide>(code), larger(drop, 1)))
                    : fit<W, Signed, O>(static_cast<Wide>(static_cast<Wide>(code) *
                                                          (Wide{1} << larger(-drop, 0))));
  }

  template <typename Law>
  static Code stored(double value, Law law) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    const int field = static_cast<int>(bits >> 52 & 0x7ff);
    const std::uint64_t fraction = bits & ((std::uint64_t{1} << 52) - 1);
    const Int128 magnitude = field == 0 ? fraction : fraction | std::uint64_t{1} << 52;
    const Int128 mantissa = bits >> 63 != 0 ? -magnitude : magnitude;
    const int places = larger(field, 1) - 1075 + (W - I);  // value = mantissa · 2^places steps
    // Beyond 72 places to the left nothing is in range any more, beyond 86 to the right all is
    // below 2^−33 of a step: there the result no longer depends on how far.
    if (places >= 0) return fit<W, Signed, O>(mantissa * (Int128{1} << smaller(places, 72)));
    return fit<W, Signed, O>(law(mantissa, smaller(-places, 86)));
  }

  Code code_;
};

template <typename A, typename B>
constexpr typename FixedResult<A, B>::Sum operator+(const A& a, const B& b) {
  using Result = FixedResult<A, B>;
  return Result::Sum::from_code(Result::left(a) + Result::right(b));
}
template <typename A, typename B>
constexpr typename FixedResult<A, B>::Difference operator-(const A& a, const B& b) {
  using Result = FixedResult<A, B>;
  return Result::Difference::from_code(Result::left(a) - Result::right(b));
}
template <typename A, typename B>
constexpr typename FixedResult<A, B>::Product operator*(const A& a, const B& b) {
  using Product = typename FixedResult<A, B>::Product;
  using Code = typename Product::Code;
  return Product::from_code(static_cast<Code>(FixedTraits<A>::code(a)) *
                            static_cast<Code>(FixedTraits<B>::code(b)));
}
template <typename A, typename B>
constexpr typename FixedResult<A, B>::Truth operator==(const A& a, const B& b) {
  return FixedResult<A, B>::left(a) == FixedResult<A, B>::right(b);
}
template <typename A, typename B>
constexpr typename FixedResult<A, B>::Truth operator<(const A& a, const B& b) {
  return FixedResult<A, B>::left(a) < FixedResult<A, B>::right(b);
}
template <typename A, typename B>
constexpr typename FixedResult<A, B>::Truth operator!=(const A& a, const B& b) {
  return !(a == b);
}
template <typename A, typename B>
constexpr typename FixedResult<A, B>::Truth operator>(const A& a, const B& b) {
  return b < a;
}
template <typename A, typename B>
constexpr typename FixedResult<A, B>::Truth operator<=(const A& a, const B& b) {
  return !(b < a);
}
template <typename A, typename B>
constexpr typename FixedResult<A, B>::Truth operator>=(const A& a, const B& b) {
  return !(a < b);
}

}  // namespace numeric
}  // namespace dovetail
