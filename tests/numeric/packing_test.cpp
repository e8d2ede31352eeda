// Binary and ternary arithmetic, and numbers packed in bytes.
#include "numeric/packing.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace dovetail::numeric {
namespace {

TEST(Binary, EveryProduct) {
  for (const bool a : {false, true}) {
    for (const bool b : {false, true}) {
      EXPECT_EQ((Binary(a) * Binary(b)).value(), Binary(a).value() * Binary(b).value());
    }
    for (int x = -128; x <= 127; ++x) ASSERT_EQ(Binary(a) * Int<8>(x), (a ? 1 : -1) * x);
    for (int x = 0; x <= 255; ++x) ASSERT_EQ(Binary(a) * Uint<8>(x), (a ? 1 : -1) * x);
  }
  EXPECT_EQ(Binary::sign_of(0).value(), 1);
  EXPECT_EQ(Binary::sign_of(-1).value(), -1);
}

TEST(Ternary, EveryProduct) {
  for (int sign = -1; sign <= 1; ++sign) {
    EXPECT_EQ(Ternary::sign_of(sign * 5).value(), sign);
    for (int x = -128; x <= 127; ++x) {
      ASSERT_EQ(Ternary::sign_of(sign) * Int<8>(x), sign * x);
    }
  }
}

TEST(Binary, DotProductsByPopulationCount) {
  const auto seed = std::random_device{}();
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10000; ++i) {
    const std::uint64_t a = random(), b = random(), valid = i % 3 == 0 ? ~0ull : random();
    int sum = 0;
    for (int j = 0; j < 64; ++j) {
      const auto bit = [&](std::uint64_t word) { return (word >> j & 1) != 0; };
      if (bit(valid)) sum += (Binary(bit(a)) * Binary(bit(b))).value().to_int();
    }
    ASSERT_EQ(binary_dot(a, b, valid), sum) << "seed " << seed;
  }
}

/// Every code of W bits, shuffled, there and back; against bits gathered one by one.
template <typename T>
void check_packing() {
  constexpr int bits = Codec<T>::bits;
  std::vector<T> numbers;
  for (std::uint32_t code = 0; code < 1u << bits; ++code) {
    numbers.push_back(Codec<T>::decode(code * 2654435761u >> (32 - bits)));
  }
  std::vector<std::uint8_t> packed(packed_bytes(numbers.size(), bits) + 1, 0xa5);
  pack(numbers.data(), numbers.size(), packed.data());
  EXPECT_EQ(packed.back(), 0xa5);
  std::vector<T> unpacked(numbers.size());
  unpack(packed.data(), unpacked.size(), unpacked.data());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    std::uint32_t code = 0;
    for (int bit = bits - 1; bit >= 0; --bit) {
      const std::size_t place = i * bits + static_cast<std::size_t>(bit);
      code = code << 1 | (packed[place / 8] >> place % 8 & 1u);
    }
    ASSERT_EQ(code, Codec<T>::encode(numbers[i])) << bits << " bits, element " << i;
    ASSERT_TRUE(unpacked[i] == numbers[i]) << bits << " bits, element " << i;
  }
}

template <int... W>
void check_all(std::integer_sequence<int, W...>) {
  (check_packing<Int<W + 1>>(), ...);
  (check_packing<Uint<W + 1>>(), ...);
}

TEST(Packing, EveryCodeOfEveryWidth) {
  check_all(std::make_integer_sequence<int, 16>{});
  check_packing<Binary>();
  check_packing<Ternary>();
}

TEST(Packing, NeighboursKeepTheirBits) {
  std::uint8_t bytes[3] = {0xff, 0xff, 0xff};
  pack_code(bytes, 1, 7, 0);
  EXPECT_EQ(bytes[0], 0x7f);
  EXPECT_EQ(bytes[1], 0xc0);
  EXPECT_EQ(bytes[2], 0xff);
  EXPECT_EQ(sign_extend(unpack_code(bytes, 0, 7), 7), -1);
}

}  // namespace
}  // namespace dovetail::numeric
