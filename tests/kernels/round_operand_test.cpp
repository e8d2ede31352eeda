// The rounding of operands against its twin, bit for bit, and the twin against known numbers.
#include "ops/round_operand.hpp"

#include <bit>
#include <cstdint>

#include "kernels/compute_fixture.hpp"
#include "ops/reference/round_operand.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

constexpr std::array formats{ComputeFormat::tf32, ComputeFormat::bf16, ComputeFormat::fp16};

class RoundOperandTest : public ComputeTest {
 protected:
  /// Every kind of number: random bits, the neighbourhood of powers of two, and ties.
  std::vector<float> all_kinds() {
    std::vector<float> values;
    for (int i = 0; i < 20000; ++i) {
      values.push_back(
          std::bit_cast<float>(static_cast<std::uint32_t>(between(0, 0x7fffffff)) << 1 |
                               static_cast<std::uint32_t>(between(0, 1))));
    }
    for (int exponent = -30; exponent <= 18; ++exponent) {
      for (int step = -40; step <= 40; ++step) {
        const auto near = std::bit_cast<std::uint32_t>(std::ldexp(1.0f, exponent));
        const auto fine = static_cast<std::uint32_t>(static_cast<int>(near) + step);
        const auto coarse = static_cast<std::uint32_t>(static_cast<int>(near) + step * 0x800);
        for (const std::uint32_t bits : {fine, coarse}) {
          values.push_back(std::bit_cast<float>(bits));
          values.push_back(-std::bit_cast<float>(bits));
        }
      }
    }
    for (const float value :
         {0.0f, -0.0f, 65504.0f, 65519.99f, 65520.0f, 65536.0f, 0x1p-25f, 0x1.000002p-25f,
          0x1p-126f, 0x1p-149f, poison, std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::max()})
      values.push_back(value);
    return values;
  }
};

TEST_P(RoundOperandTest, GivesItsTwinsBits) {
  const std::vector<float> values = all_kinds();
  const opencl::Buffer source = upload(values);
  for (const ComputeFormat format : formats) {
    RoundOperand rounding(device(), GetParam(), format);
    const std::vector<float> found =
        device().download<float>(rounding.round(source, values.size(), RoundOperand::Side::right));
    ASSERT_EQ(found.size(), values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float expected = reference::round_operand(values[i], format);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(found[i]));
        continue;
      }
      ASSERT_EQ(std::bit_cast<std::uint32_t>(found[i]), std::bit_cast<std::uint32_t>(expected))
          << to_string(format) << " of " << values[i];
    }
  }
}

TEST_P(RoundOperandTest, KeepsItsSidesApart) {
  RoundOperand rounding(device(), GetParam(), ComputeFormat::bf16);
  const opencl::Buffer ones = upload(std::vector<float>(100, 1.0f));
  const opencl::Buffer twos = upload(std::vector<float>(100, 2.0f));
  const opencl::Buffer& left = rounding.round(ones, 100, RoundOperand::Side::left);
  const opencl::Buffer& right = rounding.round(twos, 50, RoundOperand::Side::right);
  EXPECT_EQ(device().download<float>(left), std::vector<float>(100, 1.0f));
  EXPECT_EQ(device().download<float>(right), std::vector<float>(50, 2.0f));
  EXPECT_THROW(rounding.round(ones, 101, RoundOperand::Side::left), Error);
}

// IEEE 754's binary16 and its ties to even; PTX's cvt.rna.tf32, whose ties go away from zero.
TEST(RoundOperandTwin, GivesTheManualsNumbers) {
  const auto round = reference::round_operand;
  EXPECT_EQ(round(1.0f + 0x1p-11f, ComputeFormat::fp16), 1.0f);
  EXPECT_EQ(round(1.0f + 0x1.8p-10f, ComputeFormat::fp16), 1.0f + 0x1p-9f);
  EXPECT_EQ(round(65519.99f, ComputeFormat::fp16), 65504.0f);
  EXPECT_TRUE(std::isinf(round(65520.0f, ComputeFormat::fp16)));
  EXPECT_EQ(round(0x1p-25f, ComputeFormat::fp16), 0.0f);
  EXPECT_EQ(round(0x1.000002p-25f, ComputeFormat::fp16), 0x1p-24f);
  EXPECT_EQ(round(1.0f + 0x1p-11f, ComputeFormat::tf32), 1.0f + 0x1p-10f);
  EXPECT_EQ(round(-1.0f - 0x1p-11f, ComputeFormat::tf32), -1.0f - 0x1p-10f);
  EXPECT_EQ(round(1.0f + 0x1p-8f, ComputeFormat::bf16), 1.0f);
  EXPECT_EQ(round(3.14159265f, ComputeFormat::bf16), 3.140625f);
  EXPECT_EQ(round(3.14159265f, ComputeFormat::float32), 3.14159265f);
}

TEST(ComputeFormats, AreKnownByTheirNames) {
  for (const ComputeFormat format : compute_formats)
    EXPECT_EQ(parse_compute_format(to_string(format)), format);
  EXPECT_THROW(parse_compute_format("fp8"), UsageError);
  EXPECT_THROW(kernel_number(ComputeFormat::float32), Error);
}

INSTANTIATE_TEST_SUITE_P(Variants, RoundOperandTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

}  // namespace
}  // namespace dovetail
