// The conversions that round by the mode FIXED_MODE: one object file each, since there are
// thousands of instantiations.
#include "numeric/fixed_conversions.hpp"

#include <utility>

#define FIXED_JOIN(a, b) a##b
#define FIXED_NAME(a, b) FIXED_JOIN(a, b)

namespace dovetail::numeric {
namespace {

constexpr Quantisation mode = Quantisation::FIXED_MODE;
template <int W, bool Signed, Overflow O, int Drop>
using Target = FixedPoint<W, W - source_fraction_bits + Drop, mode, O, Signed>;

template <typename From, typename To>
int convert_code(int code) {
  return static_cast<int>(To(From::from_code(code)).code());
}
template <typename To>
int convert_double(double value) {
  return static_cast<int>(To(value).code());
}
template <typename To>
constexpr auto double_conversion() -> int (*)(double) {
  if constexpr (To::iwidth >= 0 && To::iwidth <= To::width) return convert_double<To>;
  return nullptr;
}

template <int FromWidth, bool FromSigned, int W, bool Signed, Overflow O, int... Drop>
void add_drops(std::vector<Conversion>& all, std::integer_sequence<int, Drop...>) {
  using From = FixedPoint<FromWidth, FromWidth - source_fraction_bits, Quantisation::truncate,
                          Overflow::wrap, FromSigned>;
  (all.push_back({FromWidth, FromSigned, W, Signed, mode, O, Drop - W,
                  convert_code<From, Target<W, Signed, O, Drop - W>>,
                  double_conversion<Target<W, Signed, O, Drop - W>>()}),
   ...);
}

template <int W, bool Signed>
void add_modes(std::vector<Conversion>& all) {
  using Drops = std::make_integer_sequence<int, W + highest_drop + 1>;
  add_drops<source_width, true, W, Signed, Overflow::wrap>(all, Drops{});
  add_drops<source_width, true, W, Signed, Overflow::saturate>(all, Drops{});
  add_drops<source_width, true, W, Signed, Overflow::saturate_zero>(all, Drops{});
  add_drops<source_width, true, W, Signed, Overflow::saturate_symmetric>(all, Drops{});
  constexpr int turn = static_cast<int>(mode) + W;
  add_drops<1 + turn % 8, (turn % 3 == 0), W, Signed, static_cast<Overflow>(turn % 4)>(all,
                                                                                       Drops{});
}

template <int... Width>
std::vector<Conversion> conversions(std::integer_sequence<int, Width...>) {
  std::vector<Conversion> all;
  (add_modes<Width + 1, true>(all), ...);
  (add_modes<Width + 1, false>(all), ...);
  return all;
}

}  // namespace

std::vector<Conversion> FIXED_NAME(FIXED_MODE, _conversions)() {
  return conversions(std::make_integer_sequence<int, 8>{});
}

}  // namespace dovetail::numeric
