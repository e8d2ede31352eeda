// The bits of a float32 and back. C++14, usable inside HLS kernels.
#pragma once

#include <cstdint>
#include <cstring>

namespace dovetail {
namespace numeric {

inline std::uint32_t float_bits(float number) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &number, sizeof(bits));
  return bits;
}
inline float float_of_bits(std::uint32_t bits) {
  float number = 0;
  std::memcpy(&number, &bits, sizeof(number));
  return number;
}

/// Of the magnitude: as integers they are ordered as the magnitudes are.
inline std::uint32_t magnitude_bits(float number) {
  return float_bits(number) & 0x7fffffffu;
}

}  // namespace numeric
}  // namespace dovetail
