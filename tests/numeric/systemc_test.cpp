// Fixed-point numbers against SystemC's sc_fix: every code, every format of 8 bits or less, every
// mode.
#define SC_INCLUDE_FX
#include <gtest/gtest.h>

#include <cmath>
#include <systemc>

#include "numeric/fixed_conversions.hpp"

namespace dovetail::numeric {
namespace {

constexpr sc_dt::sc_q_mode q_modes[] = {
    sc_dt::SC_TRN,         sc_dt::SC_TRN_ZERO, sc_dt::SC_RND,     sc_dt::SC_RND_ZERO,
    sc_dt::SC_RND_MIN_INF, sc_dt::SC_RND_INF,  sc_dt::SC_RND_CONV};
constexpr sc_dt::sc_o_mode o_modes[] = {sc_dt::SC_WRAP, sc_dt::SC_SAT, sc_dt::SC_SAT_ZERO,
                                        sc_dt::SC_SAT_SYM};

double oracle(const Conversion& to, double value) {
  const auto q = q_modes[static_cast<int>(to.quantisation)];
  const auto o = o_modes[static_cast<int>(to.overflow)];
  if (to.is_signed) return sc_dt::sc_fix(value, to.width, to.integer_bits(), q, o).to_double();
  return sc_dt::sc_ufix(value, to.width, to.integer_bits(), q, o).to_double();
}

class SystemC : public testing::TestWithParam<std::vector<Conversion> (*)()> {};

TEST_P(SystemC, EveryCodeToEveryFormat) {
  for (const Conversion& conversion : GetParam()()) {
    if (conversion.from_width < source_width) continue;
    for (int code = conversion.lowest(); code <= conversion.highest(); ++code) {
      const double got =
          std::ldexp(conversion.of_code(code), conversion.integer_bits() - conversion.width);
      ASSERT_EQ(got, oracle(conversion, std::ldexp(code, -source_fraction_bits)))
          << code << ": " << describe(conversion);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, SystemC,
                         testing::Values(truncate_conversions, truncate_zero_conversions,
                                         nearest_up_conversions, nearest_zero_conversions,
                                         nearest_down_conversions, nearest_away_conversions,
                                         nearest_even_conversions));

TEST(SystemCArithmetic, ExactProductsAndSumsOfEveryPair) {
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
