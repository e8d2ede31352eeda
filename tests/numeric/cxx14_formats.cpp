// Compiled twice: as C++14 without extensions, as kernels are, and as the rest of the program is.
#include "numeric/cxx14_formats.hpp"

#include "numeric/binary.hpp"
#include "numeric/block_float.hpp"
#include "numeric/dot.hpp"
#include "numeric/engine_layout.hpp"
#include "numeric/fixed.hpp"
#include "numeric/integer.hpp"
#include "numeric/microscaling.hpp"
#include "numeric/minifloat.hpp"
#include "numeric/packing.hpp"
#include "numeric/quantise_real.hpp"
#include "numeric/requantise.hpp"
#include "numeric/rounding.hpp"
#include "numeric/saturate.hpp"
#include "numeric/shared_exponent.hpp"
#include "numeric/storage.hpp"
#include "numeric/training_layout.hpp"

namespace dovetail {
namespace {

using namespace numeric;

constexpr Rounding chance = Rounding::stochastic;

struct Digest {
  std::uint64_t hash = 0xcbf29ce484222325u;
  void add(std::uint64_t code) { hash = (hash ^ code) * 0x100000001b3u; }
};

template <typename T>
std::uint64_t minifloats(const float* numbers, std::uint32_t key) {
  Digest digest;
  for (std::uint32_t i = 0; i < cxx14_numbers; ++i)
    digest.add(T::encode(numbers[i], {chance, Excess::to_infinity}, random_bits(key, i)).code());
  return digest.hash;
}

template <typename Element>
std::uint64_t microscaled(const float* numbers, std::uint32_t key) {
  const auto block = mx_encode<Element>(numbers, chance, key);
  Digest digest;
  digest.add(block.scale);
  for (int i = 0; i < mx_block; ++i) digest.add(float_bits(mx_value(block, i)));
  return digest.hash;
}

template <int K>
std::uint64_t blocks(const float* numbers, std::uint32_t key) {
  const auto a = bfp_encode<K>(numbers, chance, key);
  const auto b = bfp_encode<K>(numbers + bfp_block, Rounding::nearest_away);
  Digest digest;
  for (int i = 0; i < bfp_block; ++i) digest.add(float_bits(bfp_value(a, i)));
  digest.add(static_cast<std::uint64_t>(bfp_dot(a, b).to_int64()));
  return digest.hash;
}

template <typename T>
std::uint64_t fixed_points(const float* numbers, std::uint32_t key) {
  Digest digest;
  for (std::uint32_t i = 0; i < cxx14_numbers; ++i) {
    const T number = T::stochastic(static_cast<double>(numbers[i]), random_bits(key, i));
    digest.add(static_cast<std::uint64_t>(number.code()));
  }
  return digest.hash;
}

template <typename T>
std::uint64_t integers(const float* numbers, std::uint32_t key) {
  T a[cxx14_numbers], b[cxx14_numbers];
  std::uint8_t packed[packed_bytes(cxx14_numbers, T::width)] = {};
  for (std::uint32_t i = 0; i < cxx14_numbers; ++i) {
    a[i] = saturate<T>(quantise_real(numbers[i], random_bits(key, i), 1 << 20));
    b[i] = static_cast<int>(random_bits(key, i) >> 8);
  }
  pack(a, cxx14_numbers, packed);
  Digest digest;
  for (const std::uint8_t byte : packed) digest.add(byte);
  digest.add(static_cast<std::uint64_t>(dot<Int<24>>(a, b, cxx14_numbers).to_int64()));
  digest.add(static_cast<std::uint64_t>(saturating_dot<Int<20>>(a, b, cxx14_numbers).to_int64()));
  return digest.hash;
}

std::uint64_t signs(const float* numbers) {
  Digest digest;
  for (int i = 0; i < cxx14_numbers; ++i) {
    const auto code = static_cast<std::int64_t>(quantise_real(numbers[i], nearest_threshold, 100));
    digest.add(static_cast<std::uint64_t>((Binary::sign_of(code) * Int<8>(7)).to_int()));
    digest.add(static_cast<std::uint64_t>((Ternary::sign_of(code) * Int<8>(7)).to_int()));
  }
  return digest.hash;
}

}  // namespace

void FORMATS(const float* numbers, std::uint32_t key, std::uint64_t* digests) {
  const std::uint64_t all[cxx14_outputs] = {
      minifloats<BFloat16>(numbers, key),
      minifloats<Float16>(numbers, key),
      minifloats<E5m2>(numbers, key),
      minifloats<E4m3>(numbers, key),
      minifloats<E2m3>(numbers, key),
      minifloats<E3m2>(numbers, key),
      minifloats<E2m1>(numbers, key),
      microscaled<E4m3>(numbers, key),
      microscaled<E5m2>(numbers, key),
      microscaled<E2m3>(numbers, key),
      microscaled<E3m2>(numbers, key),
      microscaled<E2m1>(numbers, key),
      microscaled<MxInt8>(numbers, key),
      blocks<5>(numbers, key),
      blocks<8>(numbers, key),
      blocks<16>(numbers, key),
      fixed_points<Fixed<8, 3, Quantisation::nearest_even, Overflow::saturate>>(numbers, key),
      fixed_points<Ufixed<12, 6>>(numbers, key),
      integers<Int<6>>(numbers, key),
      integers<Uint<11>>(numbers, key),
      signs(numbers),
  };
  for (int i = 0; i < cxx14_outputs; ++i) digests[i] = all[i];
}

}  // namespace dovetail
