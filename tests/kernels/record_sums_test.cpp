// What the host is told of a step's sums, against the twin.
#include "ops/record_sums.hpp"

#include <bit>
#include <limits>

#include "kernels/feature_maps.hpp"
#include "ops/reference/record_sums.hpp"
#include "support/random.hpp"

namespace dovetail {
namespace {

using namespace testing;

class RecordSumsTest : public BothVariants {
 protected:
  /// The record of `sums`, whose NaN keep their bits.
  static std::vector<std::uint32_t> run(RecordSums& record, const std::vector<float>& sums) {
    const opencl::Buffer from = test_device().upload(std::span(sums));
    const std::vector<std::uint32_t> start(record.words(), RecordSums::none);
    const opencl::Buffer to = test_device().upload(std::span(start));
    record.run(from, to);
    return test_device().download<std::uint32_t>(to);
  }
  static void expect_twin(RecordSums& record, const std::vector<float>& sums,
                          std::size_t gradients) {
    const reference::SumsRecord expected = reference::record_sums(sums, gradients);
    std::vector<std::uint32_t> words;
    for (const float value : expected.rest) words.push_back(std::bit_cast<std::uint32_t>(value));
    words.push_back(expected.first_not_finite);
    EXPECT_EQ(run(record, sums), words);
  }
};
INSTANTIATE_TEST_SUITE_P(Ops, RecordSumsTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

TEST_P(RecordSumsTest, IsTheTwin) {
  Random random(67);
  SplitMix64 place(68);
  const float broken[] = {
      std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
      std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
  for (const std::size_t gradients : {1U, 77U, 4096U, 30001U}) {
    for (const std::size_t rest : {6U, 5000U}) {
      RecordSums record(test_device(), GetParam(), gradients, rest);
      std::vector<float> sums = to_float(random.normal(gradients + rest));
      sums[place.below(gradients)] = std::numeric_limits<float>::max();
      sums[place.below(gradients)] = std::numeric_limits<float>::denorm_min();
      expect_twin(record, sums, gradients);
      sums[gradients + place.below(rest)] = broken[0];  // none of the gradients
      expect_twin(record, sums, gradients);
      for (const float value : broken) {
        std::vector<float> more = sums;
        for (int i = 0; i < 3; ++i) more[place.below(gradients)] = value;
        expect_twin(record, more, gradients);
      }
      sums[gradients - 1] = broken[2];
      expect_twin(record, sums, gradients);
    }
  }
}

TEST_P(RecordSumsTest, RefusesOtherLengths) {
  RecordSums record(test_device(), GetParam(), 10, 6);
  const opencl::Buffer sums = test_device().allocate(64), to = test_device().allocate(28);
  EXPECT_ANY_THROW(record.run(to, to));
  EXPECT_ANY_THROW(record.run(sums, sums));
  EXPECT_ANY_THROW(RecordSums(test_device(), GetParam(), 0, 6));
}

}  // namespace
}  // namespace dovetail
