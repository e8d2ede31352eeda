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

}  // namespace hls
}  // namespace dovetail
