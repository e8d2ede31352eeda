// The same numbers under Vitis HLS: ap_int and ap_fixed.
#pragma once

#include <ap_fixed.h>
#include <ap_int.h>

#include "numeric/dot.hpp"
#include "numeric/fixed.hpp"

namespace dovetail {
namespace hls {

using numeric::Overflow;
using numeric::Quantisation;

constexpr ap_q_mode vitis_mode(Quantisation mode) {
  return mode == Quantisation::truncate        ? AP_TRN
         : mode == Quantisation::truncate_zero ? AP_TRN_ZERO
         : mode == Quantisation::nearest_up    ? AP_RND
         : mode == Quantisation::nearest_zero  ? AP_RND_ZERO
         : mode == Quantisation::nearest_down  ? AP_RND_MIN_INF
         : mode == Quantisation::nearest_away  ? AP_RND_INF
                                               : AP_RND_CONV;
}
constexpr ap_o_mode vitis_mode(Overflow mode) {
  return mode == Overflow::wrap            ? AP_WRAP
         : mode == Overflow::saturate      ? AP_SAT
         : mode == Overflow::saturate_zero ? AP_SAT_ZERO
                                           : AP_SAT_SYM;
}

template <int W>
using Int = ap_int<W>;
template <int W>
using Uint = ap_uint<W>;
template <int W, int I, Quantisation Q = Quantisation::truncate, Overflow O = Overflow::wrap>
using Fixed = ap_fixed<W, I, vitis_mode(Q), vitis_mode(O)>;
template <int W, int I, Quantisation Q = Quantisation::truncate, Overflow O = Overflow::wrap>
using Ufixed = ap_ufixed<W, I, vitis_mode(Q), vitis_mode(O)>;

template <typename T>
Int<T::width> code_of(const T& number) {
  return Int<T::width>(number.range(T::width - 1, 0));
}
template <typename T>
T from_code(const Int<T::width>& code) {
  T number;
  number.range(T::width - 1, 0) = code;
  return number;
}

template <typename T, typename V>
T stochastic(const V& value, std::uint32_t random) {
  // Up where the dropped fraction's first 32 bits are above `random`: where the fraction and the
  // complement of the random bits, one behind T's last place, add up to a step.
  constexpr int places = T::width - T::iwidth;
  constexpr int integer = numeric::larger(V::iwidth + 1, 1 - places) + 1;
  ap_ufixed<32, -places> chance;
  chance.range(31, 0) = ap_uint<32>(~random);
  const bool negative = value < 0;
  ap_ufixed<V::width + 1, V::iwidth + 1> magnitude = value;
  if (negative) magnitude = -value;
  const ap_ufixed<integer + places, integer> steps = magnitude + chance;
  ap_fixed<integer + places + 1, integer + 1> rounded = steps;
  if (negative) rounded = -rounded;
  return T(rounded);
}

}  // namespace hls
}  // namespace dovetail
