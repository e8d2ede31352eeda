// Clamping to the range of a narrower integer, where an assignment would wrap.
//
// C++14, usable inside HLS kernels. Written with the operators that Int<W> and ap_int share, so
// that it serves both.
#pragma once

namespace dovetail {
namespace numeric {

/// Smallest and largest number of T, an Int<W> or Uint<W>.
template <typename T>
constexpr T lowest() {
  return T(-1) < T(0) ? T(T(1) << (T::width - 1)) : T(0);
}
template <typename T>
constexpr T highest() {
  return T(~lowest<T>());
}

/// The number of T that is nearest to `value`, an integer of any width.
template <typename T, typename V>
constexpr T saturate(const V& value) {
  return value < lowest<T>() ? lowest<T>() : value > highest<T>() ? highest<T>() : T(value);
}

/// As above, but never below −highest: symmetric, as weights are. T is signed.
template <typename T, typename V>
constexpr T saturate_symmetric(const V& value) {
  return value < -highest<T>() ? T(-highest<T>()) : saturate<T>(value);
}

}  // namespace numeric
}  // namespace dovetail
