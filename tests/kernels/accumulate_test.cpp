// Sums of partial gradients against their twin, bit for bit.
#include "ops/accumulate.hpp"

#include "kernels/feature_maps.hpp"
#include "ops/reference/accumulate.hpp"

namespace dovetail {
namespace {

using namespace testing;

class AccumulateTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, AccumulateTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

TEST_P(AccumulateTest, IsTheTwin) {
  Random random(61);
  Accumulate accumulate(test_device(), GetParam());
  for (const std::size_t n : {1U, 5000U, 77U}) {
    const std::vector<float> x = to_float(random.normal(n)), start = to_float(random.normal(n));
    const opencl::Buffer other = test_device().upload(std::span(x));
    const opencl::Buffer sum = test_device().upload(std::span(start));
    accumulate.add(other, sum);
    EXPECT_EQ(test_device().download<float>(sum), reference::add(x, start));
    accumulate.scale(other, 0.37f);
    EXPECT_EQ(test_device().download<float>(other), reference::scale(x, 0.37f));
  }
}

TEST_P(AccumulateTest, AddsWhatIsNamedAlone) {
  Random random(62);
  Accumulate accumulate(test_device(), GetParam());
  constexpr std::size_t n = 3000, first = 517, count = 1300;
  const std::vector<float> x = to_float(random.normal(n)), start = to_float(random.normal(n));
  const opencl::Buffer other = test_device().upload(std::span(x));
  const opencl::Buffer sum = test_device().upload(std::span(start));
  accumulate.add(other, sum, first, count);
  std::vector<float> expected = reference::add(x, start);
  std::copy_n(start.begin(), first, expected.begin());
  std::copy(start.begin() + first + count, start.end(), expected.begin() + first + count);
  EXPECT_EQ(test_device().download<float>(sum), expected);
}

TEST_P(AccumulateTest, RefusesOtherLengths) {
  Accumulate accumulate(test_device(), GetParam());
  const opencl::Buffer two = test_device().allocate(8), three = test_device().allocate(12);
  EXPECT_ANY_THROW(accumulate.add(two, three));
  EXPECT_ANY_THROW(accumulate.add(two, three, 1, 2));
  EXPECT_ANY_THROW(accumulate.add(two, three, 3, 0));
}

}  // namespace
}  // namespace dovetail
