// What ml_dtypes 0.6.0 makes of every code and every boundary, as digests.
// Written by make_minifloat_oracle.py, which says what goes into them.
#pragma once

#include <cstdint>

#include "numeric/minifloat.hpp"

namespace dovetail::numeric {

template <typename T>
struct Oracle;
template <>
struct Oracle<BFloat16> {
  static constexpr std::uint64_t decoding = 0x826ecc6aef1e7325;
  static constexpr std::uint64_t encoding = 0x868d5b0a5a25cd35;
};
template <>
struct Oracle<Float16> {
  static constexpr std::uint64_t decoding = 0xd87ea19efabf8d45;
  static constexpr std::uint64_t encoding = 0xe306e6bd91e92a31;
};
template <>
struct Oracle<E5m2> {
  static constexpr std::uint64_t decoding = 0xa4c9f019470b0385;
  static constexpr std::uint64_t encoding = 0x78dd10d2a3d3f0d5;
};
template <>
struct Oracle<E4m3> {
  static constexpr std::uint64_t decoding = 0xdad259c50f757625;
  static constexpr std::uint64_t encoding = 0x774aa1c70c2d6ff5;
};
template <>
struct Oracle<E2m3> {
  static constexpr std::uint64_t decoding = 0x7ffacb24ad8b0aa5;
  static constexpr std::uint64_t encoding = 0xd53c2fbb351beb45;
};
template <>
struct Oracle<E3m2> {
  static constexpr std::uint64_t decoding = 0x25da13434201d785;
  static constexpr std::uint64_t encoding = 0xd53c2fbb351beb45;
};
template <>
struct Oracle<E2m1> {
  static constexpr std::uint64_t decoding = 0x2403bb76b85dfea5;
  static constexpr std::uint64_t encoding = 0xe82c0997cb11fe2d;
};

}  // namespace dovetail::numeric
