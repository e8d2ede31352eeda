// Fixed-point numbers of any width that a kernel may be written with, on the host: Dovetail's own.
// Those of hls/engine and hls/training hold codes in built-in integers instead; tests/numeric uses
// these.
//
// hls/vitis/numbers.hpp gives the same names to AMD's ap_int and ap_fixed; CMake and v++ pick one
// of the two by the include path.
#pragma once

#include "numeric/dot.hpp"
#include "numeric/fixed.hpp"

namespace dovetail {
namespace hls {

using numeric::Overflow;
using numeric::Quantisation;

template <int W>
using Int = numeric::Int<W>;
template <int W>
using Uint = numeric::Uint<W>;
template <int W, int I, Quantisation Q = Quantisation::truncate, Overflow O = Overflow::wrap>
using Fixed = numeric::Fixed<W, I, Q, O>;
template <int W, int I, Quantisation Q = Quantisation::truncate, Overflow O = Overflow::wrap>
using Ufixed = numeric::Ufixed<W, I, Q, O>;

/// The bits of a fixed-point number as an integer, and back.
template <typename T>
Int<T::width> code_of(const T& number) {
  return number.code();
}
template <typename T>
T from_code(const Int<T::width>& code) {
  return T::from_code(code.value());
}

/// `value`, a fixed-point number, as a T: rounded stochastically, with 32 uniform bits as
/// numeric::random_bits gives them; fitted by T's overflow mode.
template <typename T, typename V>
T stochastic(const V& value, std::uint32_t random) {
  return T::stochastic(value, random);
}

}  // namespace hls
}  // namespace dovetail
