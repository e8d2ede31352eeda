// Every conversion to a fixed-point number of 8 bits or less, as functions of codes.
//
// A conversion sees two formats' points only relative to each other: `drop` says how many bits the
// target has less behind its point. From −W, where all but zero is out of range, to 9, where all is
// below half a step, or a tie with it: with these sources that is every I of 0 to W, and beyond
// both. The sources have 9 bits and a sign, and so hold the numbers of 8 bits with a sign and
// without.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "numeric/fixed.hpp"

namespace dovetail::numeric {

constexpr int source_width = 9;
constexpr int source_fraction_bits = 4;
constexpr int highest_drop = 9;

struct Conversion {
  int from_width;
  bool from_signed;
  int width;
  bool is_signed;
  Quantisation quantisation;
  Overflow overflow;
  int drop;
  int (*of_code)(int code);
  int (*of_double)(double value);  // null but for I of 0 to W

  int integer_bits() const { return width - source_fraction_bits + drop; }
  int lowest() const { return from_signed ? -(1 << (from_width - 1)) : 0; }
  int highest() const { return (1 << (from_signed ? from_width - 1 : from_width)) - 1; }
};

std::string describe(const Conversion& conversion);

/// Those that round by one mode: to every width, sign, drop and overflow mode. In one of the
/// overflow modes also from sources of 8 bits and less, of both signs, which take turns.
std::vector<Conversion> truncate_conversions();
std::vector<Conversion> truncate_zero_conversions();
std::vector<Conversion> nearest_up_conversions();
std::vector<Conversion> nearest_zero_conversions();
std::vector<Conversion> nearest_down_conversions();
std::vector<Conversion> nearest_away_conversions();
std::vector<Conversion> nearest_even_conversions();

/// The code that `code`, as a conversion's source, becomes: in exact integers, by the definitions
/// of the modes in IEEE 1666 (SystemC), 7.10.9.
int expected_code(const Conversion& conversion, std::int64_t code);

/// code / 2^drop, drop of any sign, as an integer.
std::int64_t rounded_exactly(std::int64_t code, int drop, Quantisation mode);
/// An integer as a code of `width` bits.
int fitted_exactly(std::int64_t value, int width, bool is_signed, Overflow mode);

}  // namespace dovetail::numeric
