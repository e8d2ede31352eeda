// The bit-serial identities, exhaustively: every weight code against every activation code.
#include <gtest/gtest.h>

#include "bit_serial.hpp"

namespace dovetail::engine {
namespace {

/// What the planes make of one lane, in the formulas of bit_serial.hpp.
template <int WeightBits>
int product(int weight, int code, int bits, bool valid) {
  PlaneWeights<WeightBits> w = {};
  const int weight_code = WeightBits == 1 ? (weight + 1) / 2 : weight;
  for (int k = 0; k < WeightBits; ++k)
    w.plane[k][0] = static_cast<std::uint64_t>(weight_code >> k & 1);
  ChunkStream codes, marks;
  Chunk chunk = {}, mark = {};
  chunk.byte[0] = static_cast<std::uint8_t>(code);
  mark.byte[0] = valid ? 1 : 0;
  codes.write(chunk);
  marks.write(mark);
  static Planes planes;
  read_planes<WeightBits>(codes, marks, planes, 1, 1, bits);
  AccumulatorStream sums;
  multiply_planes(planes, &w, sums, 1, 1, bits);
  return sums.read().value[0];
}

template <int WeightBits>
void expect_all(int lowest, int highest) {
  for (int weight = lowest; weight <= highest; weight += WeightBits == 1 ? 2 : 1) {
    for (const int bits : {2, 4, 8}) {
      for (int code = 0; code < 1 << bits; ++code) {
        const int x = bits == 8 ? static_cast<std::int8_t>(code) : code;
        ASSERT_EQ(product<WeightBits>(weight, code, bits, true), weight * x) << "a" << bits;
      }
    }
    for (const int code : {0, 1}) {
      ASSERT_EQ(product<WeightBits>(weight, code, 1, true), weight * (2 * code - 1));
      ASSERT_EQ(product<WeightBits>(weight, code, 1, false), 0);
    }
  }
}

TEST(BitSerial, EveryProductIsExact) {
  expect_all<1>(-1, 1);
  expect_all<2>(-2, 1);
  expect_all<4>(-8, 7);
}

TEST(BitSerial, BitsAreTakenApartInOrder) {
  std::uint64_t random = 88172645463325252;
  for (int trial = 0; trial < 1000; ++trial) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    std::uint64_t second = 0, fourth = 0, turned = 0;
    for (int i = 0; i < 32; ++i) second |= (random >> (2 * i) & 1) << i;
    for (int i = 0; i < 16; ++i) fourth |= (random >> (4 * i) & 1) << i;
    for (int i = 0; i < 64; ++i) turned |= (random >> i & 1) << (i % 8 * 8 + i / 8);
    ASSERT_EQ(every_second_bit(random), second);
    ASSERT_EQ(every_fourth_bit(random), fourth);
    ASSERT_EQ(transposed_bits(random), turned);
  }
}

}  // namespace
}  // namespace dovetail::engine
