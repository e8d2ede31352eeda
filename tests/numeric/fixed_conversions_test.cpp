// Every code to every fixed-point format of 8 bits or less, in every mode, against exact integers.
#include "numeric/fixed_conversions.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace dovetail::numeric {
namespace {

class FixedConversions : public testing::TestWithParam<std::vector<Conversion> (*)()> {};

TEST_P(FixedConversions, OfEveryCode) {
  for (const Conversion& conversion : GetParam()()) {
    for (int code = conversion.lowest(); code <= conversion.highest(); ++code) {
      ASSERT_EQ(conversion.of_code(code), expected_code(conversion, code))
          << code << ": " << describe(conversion);
    }
  }
}

/// Quarters of a source's step too, so that there are ties and less than ties for each drop.
TEST_P(FixedConversions, OfEveryDoubleInTheirRange) {
  constexpr int finer = 2;
  for (Conversion conversion : GetParam()()) {
    if (conversion.of_double == nullptr) continue;
    const int bound = 256 << finer;
    for (int quarters = -bound; quarters <= bound; ++quarters) {
      const double value = std::ldexp(quarters, -source_fraction_bits - finer);
      Conversion exact = conversion;
      exact.drop += finer;
      ASSERT_EQ(conversion.of_double(value), expected_code(exact, quarters))
          << value << ": " << describe(conversion);
    }
  }
}

TEST_P(FixedConversions, AreThereForEveryFormat) {
  const std::vector<Conversion> all = GetParam()();
  for (int width = 1; width <= 8; ++width) {
    for (const bool is_signed : {false, true}) {
      for (int integer_bits = 0; integer_bits <= width; ++integer_bits) {
        const auto count = std::count_if(all.begin(), all.end(), [&](const Conversion& c) {
          return c.from_width == source_width && c.width == width && c.is_signed == is_signed &&
                 c.integer_bits() == integer_bits && c.of_double != nullptr;
        });
        ASSERT_EQ(count, 4) << "overflow modes";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, FixedConversions,
                         testing::Values(truncate_conversions, truncate_zero_conversions,
                                         nearest_up_conversions, nearest_zero_conversions,
                                         nearest_down_conversions, nearest_away_conversions,
                                         nearest_even_conversions));

}  // namespace
}  // namespace dovetail::numeric
