// Fixed-point numbers against their definition in exact double arithmetic: every code, every mode.
#include "numeric/fixed.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <utility>

#include "numeric/fixed_formats.hpp"

namespace dovetail::numeric {
namespace {

/// The integer that a number of steps becomes.
double rounded(double steps, Quantisation mode) {
  const double below = std::floor(steps), rest = steps - below;
  const bool even = std::fmod(below, 2) == 0;
  switch (mode) {
    case Quantisation::truncate:
      return below;
    case Quantisation::truncate_zero:
      return std::trunc(steps);
    case Quantisation::nearest_up:
      return rest >= 0.5 ? below + 1 : below;
    case Quantisation::nearest_down:
      return rest > 0.5 ? below + 1 : below;
    case Quantisation::nearest_zero:
      return rest == 0.5 ? std::trunc(steps) : std::round(steps);
    case Quantisation::nearest_away:
      return std::round(steps);
    case Quantisation::nearest_even:
      return rest == 0.5 && even ? below : std::floor(steps + 0.5);
  }
  return NAN;
}

/// The code of W bits that an integer becomes.
double fitted(double code, int bits, bool is_signed, Overflow mode) {
  const double span = std::ldexp(1, bits);
  const double high = is_signed ? span / 2 - 1 : span - 1, low = is_signed ? -span / 2 : 0;
  if (mode == Overflow::wrap) {
    const double wrapped = code - span * std::floor(code / span);
    return wrapped > high ? wrapped - span : wrapped;
  }
  const double floor = mode == Overflow::saturate_symmetric && is_signed ? -high : low;
  if (code >= floor && code <= high) return code;
  return mode == Overflow::saturate_zero ? 0 : code < floor ? floor : high;
}

template <typename To>
double expected(double value) {
  return fitted(rounded(std::ldexp(value, To::width - To::iwidth), Modes<To>::quantisation),
                To::width, To::is_signed, Modes<To>::overflow);
}

struct FromFixed {
  template <typename From, typename To>
  void check() {
    for (int code = -(1 << From::width); code < 1 << From::width; ++code) {
      const auto from = From::from_code(code);
      ASSERT_EQ(static_cast<double>(To(from).code()), expected<To>(from.to_double()))
          << describe<From>() << " " << from.to_double() << " to " << describe<To>();
      ASSERT_EQ(To(from.to_double()), To(from)) << describe<To>();
    }
  }
};

TEST(Fixed, EveryCodeToEveryFormatInEveryMode) {
  FromFixed check;
  for_each_mode<FormatsOf>(check);
}

template <typename A, typename B>
void check_arithmetic() {
  for (int x = 0; x < 1 << A::width; ++x) {
    for (int y = 0; y < 1 << B::width; ++y) {
      const auto a = A::from_code(x);
      const auto b = B::from_code(y);
      const double p = a.to_double(), q = b.to_double();
      ASSERT_EQ((a + b).to_double(), p + q);
      ASSERT_EQ((a - b).to_double(), p - q);
      ASSERT_EQ((a * b).to_double(), p * q);
      ASSERT_EQ(a == b, p == q);
      ASSERT_EQ(a < b, p < q);
      ASSERT_EQ(a >= b, p >= q);
      ASSERT_EQ((-a).to_double(), -p);
    }
  }
}

TEST(Fixed, ArithmeticOfEveryPairIsExact) {
  check_arithmetic<Fixed<8, 4>, Fixed<8, 2>>();
  check_arithmetic<Fixed<8, 8>, Ufixed<7, 0>>();
  check_arithmetic<Ufixed<8, 3>, Ufixed<8, 5>>();
  check_arithmetic<Ufixed<6, 9>, Fixed<5, -3>>();
  check_arithmetic<Fixed<1, 1>, Fixed<8, 1>>();
}

TEST(Fixed, ArithmeticWithIntegersIsExact) {
  for (int x = -128; x < 128; ++x) {
    const auto a = Fixed<8, 3>::from_code(x);
    for (int y = -8; y < 8; ++y) {
      ASSERT_EQ((a + Int<4>(y)).to_double(), a.to_double() + y);
      ASSERT_EQ((y * a).to_double(), y * a.to_double());
      ASSERT_EQ(a < y, a.to_double() < y);
    }
  }
}

TEST(Fixed, ResultsAreAsWideAsTheyMustBe) {
  using A = Fixed<8, 4>;
  using B = Ufixed<6, 3>;
  static_assert(decltype(A() + A())::width == 9 && decltype(A() + A())::iwidth == 5);
  static_assert(decltype(A() * B())::width == 14 && decltype(A() * B())::iwidth == 7);
  static_assert(decltype(B() - B())::is_signed && decltype(B() - B())::width == 7);
  static_assert(sizeof(Fixed<8, 3>) == 1 && sizeof(Fixed<16, 3>) == 2);
}

TEST(Fixed, AnAccumulatorHasItsOwnWidthAndModes) {
  Fixed<8, 4, Quantisation::nearest_even, Overflow::saturate> clamped = 7;
  Fixed<8, 4> wrapped = 7;
  for (int i = 0; i < 3; ++i) {
    clamped += Fixed<8, 4>(0.75);
    wrapped += Fixed<8, 4>(0.75);
  }
  EXPECT_EQ(clamped.to_double(), 7.9375);
  EXPECT_EQ(wrapped.to_double(), 9.25 - 16);
}

TEST(Fixed, DoublesOfAnyMagnitude) {
  using T = Fixed<16, 8, Quantisation::nearest_even, Overflow::saturate>;
  EXPECT_EQ(T(1e300).code(), 32767);
  EXPECT_EQ(T(-1e300).code(), -32768);
  EXPECT_EQ(T(-1e-300).code(), 0);
  EXPECT_EQ((Fixed<16, 8>(-1e-300).code()), -1);
  EXPECT_EQ((Fixed<16, 8>(1e300).code()), 0);
  const auto seed = std::random_device{}();
  std::mt19937_64 random(seed);
  for (int i = 0; i < 100000; ++i) {
    const auto exponent = static_cast<int>(random() % 80) - 100;
    const double value =
        std::ldexp(static_cast<double>(static_cast<std::int64_t>(random())), exponent);
    ASSERT_EQ(static_cast<double>(T(value).code()), expected<T>(value))
        << value << ", seed " << seed;
  }
}

}  // namespace
}  // namespace dovetail::numeric
