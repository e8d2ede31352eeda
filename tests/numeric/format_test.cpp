// Names of number formats: what each one means, and that nothing else is taken for one.
#include "numeric/format.hpp"

#include <gtest/gtest.h>

#include <set>

#include "support/error.hpp"

namespace dovetail::numeric {
namespace {

TEST(Format, EveryNameGoesRoundAndIsListedOnce) {
  const auto names = format_names();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  for (const auto& name : names) EXPECT_EQ(parse_format(name).name, name);
  EXPECT_EQ(parse_format("fixed16.6").name, "fixed16.6");
}

TEST(Format, LowBitFormatsHaveTheEnginesRanges) {
  const auto ranges = [](const char* name) {
    const auto format = parse_format(name);
    return std::vector<std::int32_t>{format.weights.lowest, format.weights.highest,
                                     format.activations.lowest, format.activations.highest};
  };
  using Ranges = std::vector<std::int32_t>;
  EXPECT_EQ(ranges("w1a1"), (Ranges{-1, 1, -1, 1}));
  EXPECT_EQ(ranges("wta2"), (Ranges{-1, 1, 0, 3}));
  EXPECT_EQ(ranges("w2a4"), (Ranges{-2, 1, 0, 15}));
  EXPECT_EQ(ranges("w4a8"), (Ranges{-7, 7, -128, 127}));
  EXPECT_EQ(ranges("w8a1"), (Ranges{-127, 127, -1, 1}));
  EXPECT_EQ(ranges("int6"), (Ranges{-31, 31, 0, 63}));
  EXPECT_EQ(ranges("int16"), (Ranges{-32767, 32767, -32768, 32767}));
  EXPECT_EQ(parse_format("w1a1").weights.kind, ElementKind::binary);
  EXPECT_EQ(parse_format("wta1").weights.kind, ElementKind::ternary);
}

TEST(Format, PlainIntegersAreLowBitFormats) {
  EXPECT_EQ(parse_format("int8"), parse_format("w8a8"));
  EXPECT_EQ(parse_format("int4"), parse_format("w4a4"));
  EXPECT_EQ(parse_format("int2"), parse_format("w2a2"));
  EXPECT_NE(parse_format("int4"), parse_format("w4a8"));
}

TEST(Format, FloatingElementsAddUp) {
  for (const auto& name : format_names()) {
    const auto element = parse_format(name).weights;
    if (element.exponent_bits > 0) {
      EXPECT_EQ(element.bits, 1 + element.exponent_bits + element.mantissa_bits) << name;
    }
  }
}

TEST(Format, StoredBitsCountTheSharedScale) {
  const auto bits = [](const char* name) { return stored_bits(parse_format(name).weights); };
  EXPECT_EQ(bits("mxfp4"), 4.25);
  EXPECT_EQ(bits("mxfp6_e3m2"), 6.25);
  EXPECT_EQ(bits("bfp5"), 5.5);
  EXPECT_EQ(bits("tf32"), 32);
  EXPECT_EQ(bits("wta1"), 2);
  EXPECT_EQ(bits("fixed12"), 12);
}

TEST(Format, FixedPointBearsItsPoint) {
  const auto fixed = parse_format("fixed8.3").weights;
  EXPECT_EQ(fixed.integer_bits, 3);
  EXPECT_EQ(fixed.lowest, -128);
  EXPECT_EQ(fixed.highest, 127);
  EXPECT_EQ(parse_format("fixed8").weights.integer_bits, std::nullopt);
  EXPECT_EQ(parse_format("fixed32").weights.lowest, INT32_MIN);
}

TEST(Format, RefusesOtherNames) {
  for (const auto* name :
       {"",        "int",        "int1",    "int17",    "int08",     "int8 ",
        "INT8",    "int+8",      "int-8",   "int8x",    "bfp1",      "bfp17",
        "fixed1",  "fixed33",    "fixed8.", "fixed8.9", "fixed8.-1", "fixed8.03",
        "fixed.3", "fixed8.3.1", "w3a1",    "wta",      "w1at",      "w1a16",
        "w1A1",    "e3m4",       "float",   "mxfp6",    "mx",        "int99999999999"}) {
    EXPECT_THROW(parse_format(name), UsageError) << name;
  }
  try {
    parse_format("int1");
  } catch (const UsageError& error) {
    const std::string line = error.what();
    EXPECT_NE(line.find("'int1'"), std::string::npos);
    EXPECT_NE(line.find("mxfp6_e2m3"), std::string::npos);
  }
}

}  // namespace
}  // namespace dovetail::numeric
