// Fixed-point numbers against SystemC's sc_fix: every code, every mode.
#define SC_INCLUDE_FX
#include <gtest/gtest.h>

#include <systemc>

#include "numeric/fixed_formats.hpp"

namespace dovetail::numeric {
namespace {

constexpr sc_dt::sc_q_mode q_modes[] = {
    sc_dt::SC_TRN,         sc_dt::SC_TRN_ZERO, sc_dt::SC_RND,     sc_dt::SC_RND_ZERO,
    sc_dt::SC_RND_MIN_INF, sc_dt::SC_RND_INF,  sc_dt::SC_RND_CONV};
constexpr sc_dt::sc_o_mode o_modes[] = {sc_dt::SC_WRAP, sc_dt::SC_SAT, sc_dt::SC_SAT_ZERO,
                                        sc_dt::SC_SAT_SYM};

template <typename To>
double oracle(double value) {
  const auto q = q_modes[static_cast<int>(Modes<To>::quantisation)];
  const auto o = o_modes[static_cast<int>(Modes<To>::overflow)];
  if (To::is_signed) return sc_dt::sc_fix(value, To::width, To::iwidth, q, o).to_double();
  return sc_dt::sc_ufix(value, To::width, To::iwidth, q, o).to_double();
}

struct AgainstSystemC {
  template <typename From, typename To>
  void check() {
    for (int code = 0; code < 1 << From::width; ++code) {
      const auto from = From::from_code(code);
      ASSERT_EQ(To(from).to_double(), oracle<To>(from.to_double()))
          << describe<From>() << " " << from.to_double() << " to " << describe<To>();
    }
  }
};

TEST(SystemC, EveryCodeToEveryFormatInEveryMode) {
  AgainstSystemC check;
  for_each_mode<FormatsOf>(check);
}

TEST(SystemC, ExactProductsAndSumsOfEveryPair) {
  using sc_dt::sc_fixed;
  for (int x = -128; x < 128; ++x) {
    const sc_fixed<8, 3> p = x / 32.0;
    for (int y = -64; y < 64; ++y) {
      const auto a = Fixed<8, 3>::from_code(x);
      const auto b = Fixed<7, 5>::from_code(y);
      const sc_fixed<7, 5> q = y / 4.0;
      const sc_fixed<15, 8> product = p * q;
      ASSERT_EQ((a * b).to_double(), product.to_double());
      const sc_fixed<6, 4, sc_dt::SC_RND_CONV, sc_dt::SC_SAT> sum = p + q;
      ASSERT_EQ((Fixed<6, 4, Quantisation::nearest_even, Overflow::saturate>(a + b).to_double()),
                sum.to_double());
    }
  }
}

}  // namespace
}  // namespace dovetail::numeric

// SystemC's library asks for it.
int sc_main(int, char**) {
  return 0;
}

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
