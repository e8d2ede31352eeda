// What a fixed-point conversion yields, by the modes' definitions in plain integers.
#include <algorithm>

#include "numeric/fixed_conversions.hpp"

namespace dovetail::numeric {

std::string describe(const Conversion& c) {
  const auto format = [](bool is_signed, int width, int integer_bits) {
    return std::string(is_signed ? "fixed<" : "ufixed<") + std::to_string(width) + "," +
           std::to_string(integer_bits);
  };
  return format(c.from_signed, c.from_width, c.from_width - source_fraction_bits) + "> to " +
         format(c.is_signed, c.width, c.integer_bits()) + ",Q" +
         std::to_string(static_cast<int>(c.quantisation)) + ",O" +
         std::to_string(static_cast<int>(c.overflow)) + ">";
}

std::int64_t rounded_exactly(std::int64_t code, int drop, Quantisation mode) {
  const std::int64_t numerator = drop < 0 ? code * (std::int64_t{1} << -drop) : code;
  const std::int64_t denominator = drop < 0 ? 1 : std::int64_t{1} << drop;
  const std::int64_t toward_zero = numerator / denominator;
  if (toward_zero * denominator == numerator) return toward_zero;
  const std::int64_t below = numerator < 0 ? toward_zero - 1 : toward_zero, above = below + 1;
  const std::int64_t to_below = numerator - below * denominator,
                     to_above = above * denominator - numerator;
  if (mode == Quantisation::truncate) return below;
  if (mode == Quantisation::truncate_zero) return toward_zero;
  if (to_below != to_above) return to_below < to_above ? below : above;
  switch (mode) {
    case Quantisation::nearest_up:
      return above;
    case Quantisation::nearest_down:
      return below;
    case Quantisation::nearest_zero:
      return toward_zero;
    case Quantisation::nearest_away:
      return toward_zero == below ? above : below;
    default:
      return below % 2 == 0 ? below : above;
  }
}

int fitted_exactly(std::int64_t value, int width, bool is_signed, Overflow mode) {
  const std::int64_t span = std::int64_t{1} << width;
  const std::int64_t lowest = is_signed ? -span / 2 : 0, highest = lowest + span - 1;
  const bool inside = lowest <= value && value <= highest;
  switch (mode) {
    case Overflow::wrap:
      return static_cast<int>(((value - lowest) % span + span) % span + lowest);
    case Overflow::saturate:
      return static_cast<int>(std::clamp(value, lowest, highest));
    case Overflow::saturate_zero:
      return inside ? static_cast<int>(value) : 0;
    case Overflow::saturate_symmetric:
      return static_cast<int>(std::clamp(value, is_signed ? -highest : lowest, highest));
  }
  return 0;
}

int expected_code(const Conversion& conversion, std::int64_t code) {
  return fitted_exactly(rounded_exactly(code, conversion.drop, conversion.quantisation),
                        conversion.width, conversion.is_signed, conversion.overflow);
}

}  // namespace dovetail::numeric
