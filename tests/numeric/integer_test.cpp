// Integers of any width against built-in arithmetic, over every pair of numbers up to 8 bits.
#include "numeric/integer.hpp"

#include <gtest/gtest.h>

#include <random>
#include <utility>

#include "numeric/saturate.hpp"

namespace dovetail::numeric {
namespace {

template <int W, bool Signed>
constexpr int low = Signed ? -(1 << (W - 1)) : 0;
template <int W, bool Signed>
constexpr int high = (1 << (Signed ? W - 1 : W)) - 1;

/// First operation whose number or width is wrong for one pair, or nullptr.
template <typename A, typename B>
const char* wrong_operation(A a, B b, int x, int y) {
  if (a + b != x + y) return "+";
  if (a - b != x - y) return "-";
  if (a * b != x * y) return "*";
  if (y != 0 && a / b != x / y) return "/";
  if (y != 0 && a % b != x % y) return "%";
  if ((a & b) != (x & y)) return "&";
  if ((a | b) != (x | y)) return "|";
  if ((a ^ b) != (x ^ y)) return "^";
  if ((a == b) != (x == y) || (a != b) != (x != y)) return "==";
  if ((a < b) != (x < y) || (a > b) != (x > y)) return "<";
  if ((a <= b) != (x <= y) || (a >= b) != (x >= y)) return "<=";
  return nullptr;
}

template <int W1, bool S1, int W2, bool S2>
void check_pairs() {
  for (int x = low<W1, S1>; x <= high<W1, S1>; ++x) {
    for (int y = low<W2, S2>; y <= high<W2, S2>; ++y) {
      const auto* wrong = wrong_operation(Integer<W1, S1>(x), Integer<W2, S2>(y), x, y);
      ASSERT_EQ(wrong, nullptr) << x << wrong << y << " of " << W1 << " and " << W2 << " bits";
    }
  }
}

template <int W1, int... W2>
void check_against_all(std::integer_sequence<int, W2...>) {
  (check_pairs<W1, true, W2 + 1, true>(), ...);
  (check_pairs<W1, true, W2 + 1, false>(), ...);
  (check_pairs<W1, false, W2 + 1, true>(), ...);
  (check_pairs<W1, false, W2 + 1, false>(), ...);
}

TEST(Integer, EveryPairUpToEightBits) {
  using Widths = std::make_integer_sequence<int, 8>;
  check_against_all<1>(Widths{});
  check_against_all<2>(Widths{});
  check_against_all<3>(Widths{});
  check_against_all<4>(Widths{});
  check_against_all<5>(Widths{});
  check_against_all<6>(Widths{});
  check_against_all<7>(Widths{});
  check_against_all<8>(Widths{});
}

/// Random pairs, and the ends of both ranges. Products fit an int but those of two unsigned numbers
/// of 16 bits, of which one is halved.
template <int W1, bool S1, int W2, bool S2>
void check_wide_pairs(std::mt19937& random) {
  constexpr bool both_unsigned = !S1 && !S2;
  for (int i = 0; i < 2000; ++i) {
    const int any = static_cast<int>(random() & 0xffff),
              other = static_cast<int>(random() & 0xffff);
    int x = Integer<W1, S1>(i == 0 ? low<W1, S1> : i == 1 ? high<W1, S1> : any).to_int();
    int y = Integer<W2, S2>(i == 0 ? low<W2, S2> : i == 1 ? high<W2, S2> : other).to_int();
    if (both_unsigned && W1 + W2 > 31) x /= 2;
    const auto* wrong = wrong_operation(Integer<W1, S1>(x), Integer<W2, S2>(y), x, y);
    ASSERT_EQ(wrong, nullptr) << x << wrong << y << " of " << W1 << " and " << W2 << " bits";
  }
}

template <int... W>
void check_wide(std::integer_sequence<int, W...>, std::mt19937& random) {
  (check_wide_pairs<W + 9, true, 16 - W, true>(random), ...);
  (check_wide_pairs<W + 9, true, 16 - W, false>(random), ...);
  (check_wide_pairs<W + 9, false, 16 - W, true>(random), ...);
  (check_wide_pairs<16, false, W + 9, false>(random), ...);
  (check_wide_pairs<W + 9, true, W + 9, true>(random), ...);
}

TEST(Integer, PairsOfNineToSixteenBits) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  check_wide(std::make_integer_sequence<int, 8>{}, random);
}

template <int W, bool Signed>
void check_conversions() {
  using T = Integer<W, Signed>;
  const int span = 1 << W, stride = W > 10 ? 37 : 1;
  for (int x = -3 * span; x <= 3 * span; x += stride) {
    const int code = ((x % span) + span) % span;
    const int wrapped = Signed && code >= span / 2 ? code - span : code;
    const int clamped = x < low<W, Signed> ? low<W, Signed> : std::min(x, high<W, Signed>);
    ASSERT_EQ(T(x).to_int(), wrapped) << x << " in " << W << " bits";
    ASSERT_EQ(T(x + (x < 0 ? -0.75 : 0.75)).to_int(), wrapped) << x;
    ASSERT_EQ(saturate<T>(x).to_int(), clamped) << x << " in " << W << " bits";
    if (Signed) {
      ASSERT_EQ(saturate_symmetric<T>(x).to_int(), std::max(clamped, -high<W, Signed>));
    }
    ASSERT_EQ((-T(x)).to_int(), -wrapped);
    ASSERT_EQ(~T(x), T(~wrapped));
    for (int places = 0; places <= W + 1; ++places) {
      ASSERT_EQ((T(x) >> places).to_int(), wrapped >> places);
      ASSERT_EQ(T(x) << places, T(wrapped * (1 << places)));
      ASSERT_EQ(T(x) << -places, T(x) >> places);
    }
    for (int bit = 0; bit < W; ++bit) {
      ASSERT_EQ(T(x)[bit], (code >> bit & 1) != 0);
      ASSERT_EQ(T(x).range(W - 1, bit).to_int(), code >> bit);
      ASSERT_EQ(T(x).range(bit, 0).to_int(), code & ((2 << bit) - 1));
      T changed = x;
      changed.set_bit(bit, !changed[bit]);
      ASSERT_EQ(changed, T(code ^ 1 << bit));
    }
  }
}

template <int... W>
void check_widths(std::integer_sequence<int, W...>) {
  (check_conversions<W + 1, true>(), ...);
  (check_conversions<W + 1, false>(), ...);
}

/// Of every code up to 10 bits, of one in 37 beyond.
TEST(Integer, ConversionsShiftsAndBitsUpToSixteenBits) {
  check_widths(std::make_integer_sequence<int, 16>{});
}

TEST(Integer, ResultsAreAsWideAsTheyMustBe) {
  static_assert(std::is_same_v<decltype(Int<8>() + Int<5>()), Int<9>>);
  static_assert(std::is_same_v<decltype(Int<8>() + Uint<8>()), Int<10>>);
  static_assert(std::is_same_v<decltype(Uint<8>() - Uint<3>()), Int<9>>);
  static_assert(std::is_same_v<decltype(Uint<4>() * Int<8>()), Int<12>>);
  static_assert(std::is_same_v<decltype(Int<8>() + 1), Int<33>>);
  static_assert(std::is_same_v<decltype(Int<8>() / Int<8>()), Int<9>>);
  static_assert(std::is_same_v<decltype(Int<8>() % Uint<4>()), Int<5>>);
  static_assert(sizeof(Int<8>) == 1 && sizeof(Int<12>) == 2 && sizeof(Int<33>) == 8);
}

TEST(Integer, AccumulatorsKeepTheirWidth) {
  Int<12> sum = 2000;
  sum += 100;
  EXPECT_EQ(sum, 2100 - 4096);
  Int<100> wide = INT64_MAX;
  wide += INT64_MAX;
  EXPECT_EQ(wide - INT64_MAX, INT64_MAX);
  EXPECT_GT(wide, INT64_MAX);
  EXPECT_EQ(Int<16>(sum++), -1996);
  EXPECT_EQ(sum, -1995);
}

}  // namespace
}  // namespace dovetail::numeric
