// The built-in integers that hold W bits, and two's complement wrapping in them.
//
// C++14, usable inside HLS kernels.
#pragma once

#include <cstdint>
#include <type_traits>

namespace dovetail {
namespace numeric {

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 Uint128;

constexpr int max_width = 128;

/// The narrowest built-in integer of W bits or more; the narrowest, so that compilers use as many
/// vector lanes as there are.
template <int W, bool Signed>
struct Storage {
  static_assert(W >= 1 && W <= max_width, "a number has 1 to 128 bits");
  template <typename S, typename U>
  using Pick = std::conditional_t<Signed, S, U>;
  using type = std::conditional_t<
      (W <= 8), Pick<std::int8_t, std::uint8_t>,
      std::conditional_t<
          (W <= 16), Pick<std::int16_t, std::uint16_t>,
          std::conditional_t<(W <= 32), Pick<std::int32_t, std::uint32_t>,
                             std::conditional_t<(W <= 64), Pick<std::int64_t, std::uint64_t>,
                                                Pick<Int128, Uint128>>>>>;
};
template <int W, bool Signed>
using StorageOf = typename Storage<W, Signed>::type;

/// The low W bits of `value`, read as two's complement where Signed.
template <int W, bool Signed, typename V>
constexpr StorageOf<W, Signed> wrap(V value) {
  using Kept = StorageOf<W, Signed>;
  using Raw = StorageOf<W, false>;
  constexpr int spare = 8 * static_cast<int>(sizeof(Kept)) - W;
  return static_cast<Kept>(static_cast<Kept>(static_cast<Raw>(static_cast<Raw>(value) << spare)) >>
                           spare);
}

/// Largest and smallest number of W bits.
template <int W, bool Signed>
constexpr StorageOf<W, Signed> highest_code() {
  return static_cast<StorageOf<W, Signed>>(~Uint128{0} >> (max_width - W) >> (Signed ? 1 : 0));
}
template <int W, bool Signed>
constexpr StorageOf<W, Signed> lowest_code() {
  return static_cast<StorageOf<W, Signed>>(Signed ? -highest_code<W, Signed>() - 1 : 0);
}

}  // namespace numeric
}  // namespace dovetail
