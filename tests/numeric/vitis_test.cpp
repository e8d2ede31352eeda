// Int and Fixed against AMD's own ap_int and ap_fixed: every code and mode, every pair of numbers,
// and the types of the results.
#include <ap_fixed.h>
#include <ap_int.h>
#include <gtest/gtest.h>

#include <random>

#include "numeric/fixed_formats.hpp"
#include "numeric/numbers_kernel.hpp"

namespace dovetail::numeric {
namespace {

constexpr ap_q_mode q_mode(Quantisation mode) {
  constexpr ap_q_mode modes[] = {AP_TRN,         AP_TRN_ZERO, AP_RND,     AP_RND_ZERO,
                                 AP_RND_MIN_INF, AP_RND_INF,  AP_RND_CONV};
  return modes[static_cast<int>(mode)];
}
constexpr ap_o_mode o_mode(Overflow mode) {
  constexpr ap_o_mode modes[] = {AP_WRAP, AP_SAT, AP_SAT_ZERO, AP_SAT_SYM};
  return modes[static_cast<int>(mode)];
}

/// AMD's type for one of ours.
template <typename T>
struct Vitis;
template <int W, int I, Quantisation Q, Overflow O>
struct Vitis<FixedPoint<W, I, Q, O, true>> {
  using type = ap_fixed<W, I, q_mode(Q), o_mode(O)>;
};
template <int W, int I, Quantisation Q, Overflow O>
struct Vitis<FixedPoint<W, I, Q, O, false>> {
  using type = ap_ufixed<W, I, q_mode(Q), o_mode(O)>;
};

struct AgainstVitis {
  template <typename From, typename To>
  void check() {
    for (int code = 0; code < 1 << From::width; ++code) {
      const auto from = From::from_code(code);
      const typename Vitis<From>::type vitis_from = from.to_double();
      const typename Vitis<To>::type oracle = vitis_from;
      ASSERT_EQ(To(from).to_double(), oracle.to_double())
          << describe<From>() << " " << from.to_double() << " to " << describe<To>();
      const typename Vitis<To>::type of_double = from.to_double();
      ASSERT_EQ(To(from.to_double()).to_double(), of_double.to_double()) << describe<To>();
    }
  }
};

/// Fewer than systemc_test takes: AMD's headers are slow to compile.
template <Quantisation Q, Overflow O>
struct SomeFormats {
  template <typename Check>
  static void visit(Check& check) {
    check.template check<Fixed<9, 4>, Fixed<5, 3, Q, O>>();
    check.template check<Fixed<9, 4>, Ufixed<4, 3, Q, O>>();
  }
};

TEST(Vitis, EveryFixedCodeInEveryMode) {
  AgainstVitis check;
  for_each_mode<SomeFormats>(check);
}

template <typename Ours, typename Theirs>
void expect_same(const Ours& ours, const Theirs& theirs, const char* operation) {
  ASSERT_EQ(static_cast<int>(Ours::width), static_cast<int>(Theirs::width)) << operation;
  ASSERT_EQ(Ours::is_signed, Theirs(-1) < 0) << operation;
  ASSERT_EQ(ours.to_double(), theirs.to_double()) << operation;
}

template <int W1, bool S1, int W2, bool S2>
void check_integers() {
  using A = std::conditional_t<S1, ap_int<W1>, ap_uint<W1>>;
  using B = std::conditional_t<S2, ap_int<W2>, ap_uint<W2>>;
  for (int x = 0; x < 1 << W1; ++x) {
    for (int y = 0; y < 1 << W2; ++y) {
      const Integer<W1, S1> a = x;
      const Integer<W2, S2> b = y;
      const A p = x;
      const B q = y;
      expect_same(a + b, p + q, "+");
      expect_same(a - b, p - q, "-");
      expect_same(a * b, p * q, "*");
      expect_same(a & b, p & q, "&");
      expect_same(a | b, p | q, "|");
      expect_same(a ^ b, p ^ q, "^");
      ASSERT_EQ(a < b, p < q);
      ASSERT_EQ(a == b, p == q);
      if (y == 0 || (!S1 && b < 0)) continue;  // see operator/
      expect_same(a / b, p / q, "/");
      expect_same(a % b, p % q, "%");
    }
    const Integer<W1, S1> a = x;
    const A p = x;
    expect_same(-a, -p, "-");
    expect_same(~a, ~p, "~");
    expect_same(a + 5, p + 5, "+ 5");
    for (int places = 0; places <= W1; ++places) {
      ASSERT_EQ((a << places).to_int(), A(p << places).to_int());
      ASSERT_EQ((a >> places).to_int(), A(p >> places).to_int());
    }
    ASSERT_EQ(a.range(W1 - 1, W1 / 2).to_uint(), p.range(W1 - 1, W1 / 2).to_uint());
  }
}

TEST(Vitis, IntegerArithmeticOfEveryPair) {
  check_integers<8, true, 8, true>();
  check_integers<8, true, 5, false>();
  check_integers<7, false, 8, true>();
  check_integers<8, false, 8, false>();
  check_integers<1, true, 4, true>();
  check_integers<2, true, 1, false>();
  check_integers<1, false, 3, true>();
}

template <typename A, typename B>
void check_fixed() {
  for (int x = 0; x < 1 << A::width; ++x) {
    for (int y = 0; y < 1 << B::width; ++y) {
      const auto a = A::from_code(x);
      const auto b = B::from_code(y);
      const typename Vitis<A>::type p = a.to_double();
      const typename Vitis<B>::type q = b.to_double();
      expect_same(a + b, p + q, "+");
      expect_same(a - b, p - q, "-");
      expect_same(a * b, p * q, "*");
      ASSERT_EQ(a < b, p < q);
      ASSERT_EQ(a == b, p == q);
    }
  }
}

TEST(Vitis, FixedArithmeticOfEveryPair) {
  check_fixed<Fixed<8, 4>, Fixed<8, 2>>();
  check_fixed<Ufixed<7, 3>, Fixed<6, 5>>();
  check_fixed<Ufixed<8, 3>, Ufixed<8, 5>>();
}

TEST(Vitis, OneKernelGivesTheSameBitsWithBothNumbers) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int round = 0; round < 20000; ++round) {
    std::int8_t x[numbers_kernel_max], w[numbers_kernel_max];
    for (auto& number : x) number = static_cast<std::int8_t>(random());
    for (auto& number : w) number = static_cast<std::int8_t>(random() % 16 - 8);
    const int count = 1 + static_cast<int>(random() % numbers_kernel_max);
    std::int32_t ours[numbers_kernel_outputs], theirs[numbers_kernel_outputs];
    numbers_on_host(x, w, count, ours);
    numbers_on_vitis(x, w, count, theirs);
    for (int i = 0; i < numbers_kernel_outputs; ++i) {
      ASSERT_EQ(ours[i], theirs[i]) << "output " << i << ", seed " << seed;
    }
  }
}

}  // namespace
}  // namespace dovetail::numeric
