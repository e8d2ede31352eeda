// Stands in for the tests of the Verilog units where Verilator is missing.
#include <gtest/gtest.h>

TEST(Rtl, NeedsVerilator) {
  GTEST_SKIP() << "Verilator was not found when this was configured: install the package verilator";
}
