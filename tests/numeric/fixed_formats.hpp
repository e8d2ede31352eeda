// The fixed-point formats and modes that tests go through.
#pragma once

#include <string>
#include <utility>

#include "numeric/fixed.hpp"

namespace dovetail::numeric {

constexpr int quantisations = 7;
constexpr int overflows = 4;

template <typename T>
struct Modes;
template <int W, int I, Quantisation Q, Overflow O, bool Signed>
struct Modes<FixedPoint<W, I, Q, O, Signed>> {
  static constexpr Quantisation quantisation = Q;
  static constexpr Overflow overflow = O;
};

template <typename T>
std::string describe() {
  return std::string(T::is_signed ? "fixed<" : "ufixed<") + std::to_string(T::width) + "," +
         std::to_string(T::iwidth) + ",Q" +
         std::to_string(static_cast<int>(Modes<T>::quantisation)) + ",O" +
         std::to_string(static_cast<int>(Modes<T>::overflow)) + ">";
}

/// Calls check.check<From, To>() for targets that cut above, below, at both ends or nowhere. Those
/// of 8 bits and less: fixed_conversions.hpp.
template <Quantisation Q, Overflow O>
struct FormatsOf {
  template <typename Check>
  static void visit(Check& check) {
    check.template check<Fixed<9, 4>, Fixed<12, 5, Q, O>>();
    check.template check<Fixed<14, 7>, Fixed<9, 5, Q, O>>();
    check.template check<Ufixed<13, 8>, Fixed<10, 8, Q, O>>();
    check.template check<Fixed<14, 4>, Ufixed<9, 3, Q, O>>();
  }
};

/// Visits Formats<Q, O> for every pair of modes.
template <template <Quantisation, Overflow> class Formats, typename Check, int... Pair>
void visit_modes(Check& check, std::integer_sequence<int, Pair...>) {
  (Formats<static_cast<Quantisation>(Pair / overflows),
           static_cast<Overflow>(Pair % overflows)>::visit(check),
   ...);
}
template <template <Quantisation, Overflow> class Formats, typename Check>
void for_each_mode(Check& check) {
  visit_modes<Formats>(check, std::make_integer_sequence<int, quantisations * overflows>{});
}

}  // namespace dovetail::numeric
