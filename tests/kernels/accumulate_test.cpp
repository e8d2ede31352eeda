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

TEST_P(AccumulateTest, FoldsPassesByPairs) {
  Random random(63);
  Accumulate accumulate(test_device(), GetParam());
  for (const int passes : {1, 2, 4, 16}) {
    // Elements whose passes are apart by 1 (element by element) and by 3 (row by row).
    constexpr std::size_t elements = 700, first = 41;
    const auto count = static_cast<std::size_t>(passes);
    const std::vector<float> values = to_float(random.normal(elements * count + 3));
    const std::vector<float> start = to_float(random.normal(elements + first + 5));
    std::vector<Accumulate::Source> sources;
    std::vector<float> expected = start;
    for (std::size_t i = 0; i < elements; ++i) {
      const std::size_t step = i % 2 == 0 ? 1 : 3;
      const std::size_t begin = step == 1 ? i * count : std::min(i, elements * count - 3 * count);
      const auto weight = static_cast<float>(random.integer(1, 100)) / 7;
      sources.push_back(
          {static_cast<std::int32_t>(begin), static_cast<std::int32_t>(step), weight});
      std::vector<float> sums;
      for (std::size_t pass = 0; pass < count; ++pass)
        sums.push_back(values[begin + pass * step] * weight);
      for (; sums.size() > 1; sums.resize(sums.size() / 2)) {
        for (std::size_t pair = 0; pair < sums.size() / 2; ++pair)
          sums[pair] = sums[2 * pair] + sums[2 * pair + 1];
      }
      expected[first + i] = sums.front();
    }
    const opencl::Buffer sum = test_device().upload(std::span(start));
    accumulate.fold_passes(test_device().upload(std::span(values)),
                           test_device().upload(std::span<const Accumulate::Source>(sources)), sum,
                           first, passes);
    EXPECT_EQ(test_device().download<float>(sum), expected) << passes;
    EXPECT_ANY_THROW(accumulate.fold_passes(
        sum, test_device().upload(std::span<const Accumulate::Source>(sources)), sum, 47, passes));
  }
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
