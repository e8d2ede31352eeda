// Reads the names of number formats.
#include "numeric/format.hpp"

#include <array>
#include <charconv>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::numeric {
namespace {

constexpr int bfp_block = 16;
constexpr int mx_block = 32;

ElementFormat floating(int bits, int exponent_bits, int mantissa_bits) {
  return {.kind = ElementKind::floating,
          .bits = bits,
          .exponent_bits = exponent_bits,
          .mantissa_bits = mantissa_bits};
}

ElementFormat microscaling(int exponent_bits, int mantissa_bits) {
  return {.kind = ElementKind::microscaling,
          .bits = 1 + exponent_bits + mantissa_bits,
          .exponent_bits = exponent_bits,
          .mantissa_bits = mantissa_bits,
          .block = mx_block};
}

ElementFormat mxint8() {
  return {.kind = ElementKind::microscaling,
          .bits = 8,
          .block = mx_block,
          .lowest = -127,
          .highest = 127};
}

ElementFormat block_float(int bits) {
  const std::int32_t highest = (1 << (bits - 1)) - 1;
  return {.kind = ElementKind::block_float,
          .bits = bits,
          .block = bfp_block,
          .lowest = -highest,
          .highest = highest};
}

ElementFormat fixed(int bits, std::optional<int> integer_bits) {
  const auto highest = static_cast<std::int32_t>((std::int64_t{1} << (bits - 1)) - 1);
  return {.kind = ElementKind::fixed,
          .bits = bits,
          .integer_bits = integer_bits,
          .lowest = -highest - 1,
          .highest = highest};
}

ElementFormat integer(int bits, std::int32_t lowest, std::int32_t highest) {
  return {.kind = ElementKind::integer,
          .bits = bits,
          .is_signed = lowest < 0,
          .lowest = lowest,
          .highest = highest};
}

ElementFormat binary() {
  return {.kind = ElementKind::binary, .bits = 1, .lowest = -1, .highest = 1};
}

ElementFormat ternary() {
  return {.kind = ElementKind::ternary, .bits = 2, .lowest = -1, .highest = 1};
}

ElementFormat integer_weights(int bits) {
  if (bits == 1) return binary();
  const std::int32_t highest = (1 << (bits - 1)) - 1;
  return integer(bits, bits == 2 ? -2 : -highest, highest);
}

ElementFormat integer_activations(int bits) {
  if (bits == 1) return binary();
  if (bits < 8) return integer(bits, 0, (1 << bits) - 1);
  const std::int32_t highest = (1 << (bits - 1)) - 1;
  return integer(bits, -highest - 1, highest);
}

struct Plain {
  std::string_view name;
  ElementFormat element;
};

const std::array<Plain, 12>& plain_formats() {
  static const std::array<Plain, 12> table{{
      {"float32", floating(32, 8, 23)},
      {"tf32", floating(19, 8, 10)},
      {"bfloat16", floating(16, 8, 7)},
      {"float16", floating(16, 5, 10)},
      {"e4m3", floating(8, 4, 3)},
      {"e5m2", floating(8, 5, 2)},
      {"mxfp8", microscaling(4, 3)},
      {"mxfp8_e5m2", microscaling(5, 2)},
      {"mxfp6_e2m3", microscaling(2, 3)},
      {"mxfp6_e3m2", microscaling(3, 2)},
      {"mxfp4", microscaling(2, 1)},
      {"mxint8", mxint8()},
  }};
  return table;
}

/// The decimal number that `text` is, without sign or leading zeros, within [low, high].
std::optional<int> number(std::string_view text, int low, int high) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  const bool plain = whole && (text.size() == 1 || (text[0] >= '1' && text[0] <= '9'));
  return plain && value >= low && value <= high ? std::optional(value) : std::nullopt;
}

std::optional<std::string_view> after(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) ? std::optional(text.substr(prefix.size())) : std::nullopt;
}

std::optional<Format> same(std::string_view name, const ElementFormat& element) {
  return Format{std::string(name), element, element};
}

std::optional<Format> fixed_format(std::string_view name, std::string_view parameters) {
  const auto point = parameters.find('.');
  const auto bits = number(parameters.substr(0, point), 2, 32);
  if (!bits) return std::nullopt;
  if (point == std::string_view::npos) return same(name, fixed(*bits, std::nullopt));
  const auto integer_bits = number(parameters.substr(point + 1), 0, *bits);
  return integer_bits ? same(name, fixed(*bits, integer_bits)) : std::nullopt;
}

std::optional<Format> low_bit_format(std::string_view name) {
  if (name.size() != 4 || name[0] != 'w' || name[2] != 'a') return std::nullopt;
  const std::string_view weights = "1t248", activations = "1248";
  if (weights.find(name[1]) == std::string_view::npos ||
      activations.find(name[3]) == std::string_view::npos) {
    return std::nullopt;
  }
  return Format{std::string(name), name[1] == 't' ? ternary() : integer_weights(name[1] - '0'),
                integer_activations(name[3] - '0')};
}

}  // namespace

std::optional<Format> find_format(std::string_view name) {
  for (const auto& plain : plain_formats()) {
    if (plain.name == name) return same(name, plain.element);
  }
  if (const auto bits = after(name, "bfp")) {
    const auto mantissa = number(*bits, 2, 16);
    return mantissa ? same(name, block_float(*mantissa)) : std::nullopt;
  }
  if (const auto parameters = after(name, "fixed")) return fixed_format(name, *parameters);
  if (const auto parameter = after(name, "int")) {
    const auto bits = number(*parameter, 2, 16);
    if (!bits) return std::nullopt;
    return Format{std::string(name), integer_weights(*bits), integer_activations(*bits)};
  }
  return low_bit_format(name);
}

double stored_bits(const ElementFormat& element) {
  if (element.kind == ElementKind::floating && element.bits == 19) return 32;  // tf32
  return element.block == 0 ? element.bits : element.bits + 8.0 / element.block;
}

Format parse_format(std::string_view name) {
  const auto format = find_format(name);
  if (!format) {
    throw UsageError(fmt::format("unknown number format '{}'", name),
                     "Known formats: " + known_formats());
  }
  return *format;
}

std::string known_formats() {
  std::string names;
  for (const auto& plain : plain_formats()) names += std::string(plain.name) + ", ";
  return names +
         "bfpK (K = 2…16), fixedW and fixedW.I (W = 2…32 bits, I = 0…W of them before the point), "
         "intK (K = 2…16), wXaY (X = 1, t, 2, 4, 8; Y = 1, 2, 4, 8)";
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const auto& plain : plain_formats()) names.emplace_back(plain.name);
  for (int bits = 2; bits <= 16; ++bits) names.push_back(fmt::format("bfp{}", bits));
  for (int bits = 2; bits <= 32; ++bits) names.push_back(fmt::format("fixed{}", bits));
  for (int bits = 2; bits <= 16; ++bits) names.push_back(fmt::format("int{}", bits));
  for (const char weights : std::string_view("1t248")) {
    for (const char activations : std::string_view("1248")) {
      names.push_back(fmt::format("w{}a{}", weights, activations));
    }
  }
  return names;
}

}  // namespace dovetail::numeric
