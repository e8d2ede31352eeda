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

/// Calls check.check<From, To>() for targets that cut above, below, at both ends or nowhere.
template <Quantisation Q, Overflow O>
struct FormatsOf {
  template <typename Check>
  static void visit(Check& check) {
    using Wide = Fixed<9, 4>;
    using Unsigned = Ufixed<8, 5>;
    check.template check<Wide, Fixed<8, 4, Q, O>>();
    check.template check<Wide, Fixed<5, 3, Q, O>>();
    check.template check<Wide, Fixed<3, 3, Q, O>>();
    check.template check<Wide, Fixed<4, 5, Q, O>>();
    check.template check<Wide, Fixed<4, 0, Q, O>>();
    check.template check<Wide, Fixed<12, 5, Q, O>>();
    check.template check<Wide, Ufixed<6, 3, Q, O>>();
    check.template check<Wide, Ufixed<4, 5, Q, O>>();
    check.template check<Unsigned, Fixed<7, 5, Q, O>>();
    check.template check<Unsigned, Fixed<2, 2, Q, O>>();
    check.template check<Unsigned, Ufixed<5, 3, Q, O>>();
    check.template check<Unsigned, Ufixed<6, 5, Q, O>>();
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
