// Integers of k bits packed in bytes, and codes of the low-bit numbers.
//
// C++14, usable inside HLS kernels. Element i takes bits [i·k, (i+1)·k) of the packed string, where
// bit j is bit j mod 8 of byte j / 8: the lowest first, as a kernel reads range(k·i + k − 1, k·i)
// of a wide little-endian word.
#pragma once

#include <cstddef>

#include "numeric/binary.hpp"

namespace dovetail {
namespace numeric {

/// Bytes of `count` elements of `bits` bits.
constexpr std::size_t packed_bytes(std::size_t count, int bits) {
  return (count * static_cast<std::size_t>(bits) + 7) / 8;
}

/// Writes the low `bits` (1 … 16) of `code` as element `index`; its neighbours keep theirs.
inline void pack_code(std::uint8_t* packed, std::size_t index, int bits, std::uint32_t code) {
  std::size_t place = index * static_cast<std::size_t>(bits);
  for (int done = 0; done < bits;) {
    const int offset = static_cast<int>(place % 8);
    const int taken = smaller(8 - offset, bits - done);
    const std::uint32_t mask = ((1u << taken) - 1) << offset;
    std::uint8_t& byte = packed[place / 8];
    byte = static_cast<std::uint8_t>((byte & ~mask) | ((code >> done << offset) & mask));
    done += taken;
    place += static_cast<std::size_t>(taken);
  }
}

/// The code of element `index`, zero above its `bits`.
inline std::uint32_t unpack_code(const std::uint8_t* packed, std::size_t index, int bits) {
  std::size_t place = index * static_cast<std::size_t>(bits);
  std::uint32_t code = 0;
  for (int done = 0; done < bits;) {
    const int offset = static_cast<int>(place % 8);
    const int taken = smaller(8 - offset, bits - done);
    const std::uint32_t part = packed[place / 8] >> offset & ((1u << taken) - 1);
    code |= part << done;
    done += taken;
    place += static_cast<std::size_t>(taken);
  }
  return code;
}

/// The number of a code of `bits` bits in two's complement.
constexpr std::int32_t sign_extend(std::uint32_t code, int bits) {
  return static_cast<std::int32_t>(code << (32 - bits)) >> (32 - bits);
}

/// T is Int<W>, Uint<W>, Binary or Ternary: its bits, code and number.
template <typename T>
struct Codec;
template <int W, bool Signed>
struct Codec<Integer<W, Signed>> {
  static constexpr int bits = W;
  static constexpr std::uint32_t encode(const Integer<W, Signed>& number) {
    return static_cast<std::uint32_t>(Uint<W>(number).value());
  }
  static constexpr Integer<W, Signed> decode(std::uint32_t code) { return code; }
};
template <>
struct Codec<Binary> {
  static constexpr int bits = 1;
  static constexpr std::uint32_t encode(Binary number) { return number.bit() ? 1 : 0; }
  static constexpr Binary decode(std::uint32_t code) { return Binary((code & 1) != 0); }
};
template <>
struct Codec<Ternary> {
  static constexpr int bits = 2;
  static constexpr std::uint32_t encode(Ternary number) {
    return Codec<Int<2>>::encode(number.value());
  }
  static constexpr Ternary decode(std::uint32_t code) {
    return Ternary::sign_of(sign_extend(code & 3, 2));
  }
};

template <typename T>
void pack(const T* numbers, std::size_t count, std::uint8_t* packed) {
  for (std::size_t i = 0; i < count; ++i) {
    pack_code(packed, i, Codec<T>::bits, Codec<T>::encode(numbers[i]));
  }
}
template <typename T>
void unpack(const std::uint8_t* packed, std::size_t count, T* numbers) {
  for (std::size_t i = 0; i < count; ++i) {
    numbers[i] = Codec<T>::decode(unpack_code(packed, i, Codec<T>::bits));
  }
}

}  // namespace numeric
}  // namespace dovetail
