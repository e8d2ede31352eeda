// Loops that compilers turn into vector instructions.
#include "comm/gradient_codec.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr std::uint32_t sign_bit = 0x80000000u;
constexpr std::uint32_t infinity = 0x7f800000u;
constexpr std::uint32_t half_highest = 0x477fe000u;   // 65504 in float32
constexpr std::uint32_t half_smallest = 0x38800000u;  // 2^-14, its least normal number
constexpr float least_scaled = 1e-35f;  // a block below it is zero: 127 / it would overflow

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool is_nan = (bits & ~sign_bit) > infinity;
  const std::uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  return static_cast<std::uint16_t>((is_nan ? bits | 0x400000u : rounded) >> 16);
}

float of_bf16(std::uint16_t code) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(code) << 16);
}

std::uint16_t to_fp16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t whole = bits & ~sign_bit;
  const std::uint32_t magnitude = whole < infinity ? std::min(whole, half_highest) : whole;
  // The exponent moves by 15 - 127; of the fraction 13 bits go, rounded to nearest even.
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  // Below 2^-14 the code counts units of 2^-24, which adding 0.5 rounds to.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t special = whole > infinity ? 0x7e00u : 0x7c00u;
  const std::uint32_t code = whole >= infinity           ? special
                             : magnitude < half_smallest ? subnormal
                                                         : normal;
  return static_cast<std::uint16_t>(sign | code);
}

float of_fp16(std::uint16_t code) {
  const std::uint32_t sign = (code & 0x8000u) << 16;
  const std::uint32_t rest = code & 0x7fffu;
  const std::uint32_t normal = (rest << 13) + (112u << 23);
  const std::uint32_t special = infinity | (rest & 0x3ffu) << 13;
  const float subnormal = static_cast<float>(rest) * 0x1p-24f;
  const std::uint32_t magnitude = rest >= 0x7c00u  ? special
                                  : rest >= 0x400u ? normal
                                                   : std::bit_cast<std::uint32_t>(subnormal);
  return std::bit_cast<float>(sign | magnitude);
}

/// In place on unaligned bytes, `Code` by `Code`.
template <typename Code, typename Convert>
void encode_each(std::span<const float> values, std::byte* code, Convert convert) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Code one = convert(values[i]);
    std::memcpy(code + i * sizeof(Code), &one, sizeof one);
  }
}

template <typename Code, typename Convert>
void decode_each(const std::byte* code, std::span<float> values, Convert convert) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    Code one{};
    std::memcpy(&one, code + i * sizeof(Code), sizeof one);
    values[i] = convert(one);
  }
}

void encode_block(std::span<const float> values, std::byte* code) {
  std::uint32_t top = 0;  // magnitudes compare as integers, NaN above all
  for (const float value : values)
    top = std::max(top, std::bit_cast<std::uint32_t>(value) & ~sign_bit);
  const float largest = std::bit_cast<float>(top);
  float scale = largest / 127;
  float inverse = 127 / largest;
  if (top >= infinity) scale = std::numeric_limits<float>::quiet_NaN();
  if (top >= infinity || largest < least_scaled) inverse = 0;
  if (largest < least_scaled) scale = 0;
  std::memcpy(code, &scale, sizeof scale);
  // Adding 1.5 · 2^23 rounds to an integer, to even in a tie, and leaves it in the low bits.
  constexpr float rounder = 12582912.0f;
  if (inverse == 0) {
    std::memset(code + sizeof scale, 0, values.size());
    return;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(values[i] * inverse + rounder);
    code[sizeof scale + i] = static_cast<std::byte>(bits & 0xffu);
  }
}

void decode_block(const std::byte* code, std::span<float> values) {
  float scale = 0;
  std::memcpy(&scale, code, sizeof scale);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = scale * static_cast<float>(static_cast<std::int8_t>(code[sizeof scale + i]));
}

constexpr std::size_t block_bytes = sizeof(float) + int8_block;

/// body(first, count, place of its code) for each block.
template <typename Body>
void for_each_block(std::size_t count, Body body) {
  for (std::size_t first = 0, block = 0; first < count; first += int8_block, ++block)
    body(first, std::min(int8_block, count - first), block * block_bytes);
}

constexpr std::array<const char*, 4> names{"none", "bf16", "fp16", "int8"};

}  // namespace

const char* to_string(Compression compression) {
  return names[static_cast<std::size_t>(compression)];
}

Compression parse_compression(const std::string& name) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (name == names[i]) return static_cast<Compression>(i);
  }
  throw UsageError(fmt::format("unknown --compress '{}'", name),
                   fmt::format("Known: {}", fmt::join(names, ", ")));
}

std::size_t encoded_bytes(Compression compression, std::size_t count) {
  switch (compression) {
    case Compression::none:
      return count * sizeof(float);
    case Compression::int8:
      return count + (count + int8_block - 1) / int8_block * sizeof(float);
    default:
      return count * sizeof(std::uint16_t);
  }
}

void encode(Compression compression, std::span<const float> values, std::span<std::byte> code) {
  switch (compression) {
    case Compression::none:
      if (!values.empty()) std::memcpy(code.data(), values.data(), values.size_bytes());
      return;
    case Compression::bf16:
      return encode_each<std::uint16_t>(values, code.data(), to_bf16);
    case Compression::fp16:
      return encode_each<std::uint16_t>(values, code.data(), to_fp16);
    case Compression::int8:
      for_each_block(values.size(), [&](std::size_t first, std::size_t count, std::size_t place) {
        encode_block(values.subspan(first, count), code.data() + place);
      });
  }
}

void decode(Compression compression, std::span<const std::byte> code, std::span<float> values) {
  switch (compression) {
    case Compression::none:
      if (!values.empty()) std::memcpy(values.data(), code.data(), values.size_bytes());
      return;
    case Compression::bf16:
      return decode_each<std::uint16_t>(code.data(), values, of_bf16);
    case Compression::fp16:
      return decode_each<std::uint16_t>(code.data(), values, of_fp16);
    case Compression::int8:
      for_each_block(values.size(), [&](std::size_t first, std::size_t count, std::size_t place) {
        decode_block(code.data() + place, values.subspan(first, count));
      });
  }
}

void encode_with_feedback(Compression compression, std::span<float> values,
                          std::span<float> residual, std::span<std::byte> code) {
  for (std::size_t i = 0; i < values.size(); ++i) residual[i] += values[i];
  encode(compression, residual, code);
  decode(compression, code, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float lost = residual[i] - values[i];
    residual[i] = std::isfinite(lost) ? lost : 0.0f;
  }
}

}  // namespace dovetail
