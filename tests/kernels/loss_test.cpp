// Losses against their twins, and the twins' gradients against finite differences.
#include "ops/loss.hpp"

#include <limits>

#include "kernels/feature_maps.hpp"
#include "kernels/finite_differences.hpp"
#include "ops/reference/loss.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using namespace testing;

class LossTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, LossTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

struct Case {
  int batch;
  int columns;
  int stride;

  std::size_t rows() const { return static_cast<std::size_t>(batch); }
  std::size_t size() const { return static_cast<std::size_t>(batch * columns); }
  std::size_t padded_size() const { return static_cast<std::size_t>(batch * stride); }
};

/// Up to a batch of 4096 and 1000 classes, also past the batch that is usual and with much padding.
std::vector<Case> cases() {
  return {{64, 10, 16},     {1, 1, 16},       {100, 16, 16}, {33, 17, 48},
          {4096, 100, 112}, {37, 1000, 1008}, {5000, 3, 16}};
}

std::string describe(const Case& c) {
  return fmt::format("[{}, {} of {}]", c.batch, c.columns, c.stride);
}

/// Rows of `columns` values, the padding filled with what must not matter.
opencl::Buffer upload_rows(const Case& c, const std::vector<double>& values) {
  std::vector<double> padded(c.padded_size(), 1e30);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto columns = static_cast<std::size_t>(c.columns);
    padded[i / columns * static_cast<std::size_t>(c.stride) + i % columns] = values[i];
  }
  return upload(padded);
}

/// The real columns; the padding must be zero, and what follows the batch poison.
std::vector<double> download_rows(const Case& c, const opencl::Buffer& buffer) {
  const std::vector<float> padded = test_device().download<float>(buffer);
  std::vector<double> values;
  for (std::size_t i = 0; i < padded.size(); ++i) {
    const auto column = static_cast<int>(i % static_cast<std::size_t>(c.stride));
    if (i >= c.padded_size()) {
      EXPECT_EQ(padded[i], poison) << "past the batch";
    } else if (column >= c.columns) {
      EXPECT_EQ(padded[i], 0) << "padding column " << column;
    } else {
      values.push_back(static_cast<double>(padded[i]));
    }
  }
  return values;
}

struct Results {
  std::vector<double> gradient;
  std::vector<double> statistics;
  bool operator==(const Results&) const = default;
};

using Make = LabelLoss (*)(opencl::Device&, Variant, int columns, int stride);

/// `first`: of the labels.
Results run(Make make, const Case& c, Variant variant, const std::vector<double>& rows,
            const std::vector<std::int32_t>& labels, std::uint32_t first = 0) {
  LabelLoss loss = make(test_device(), variant, c.columns, c.stride);
  const opencl::Buffer gradient = poisoned(c.padded_size() + static_cast<std::size_t>(c.stride));
  const opencl::Buffer statistics = poisoned(3);
  loss.forward_backward(upload_rows(c, rows),
                        {test_device().upload(std::span<const std::int32_t>(labels)), first},
                        gradient, statistics, c.batch);
  return {download_rows(c, gradient), download(statistics)};
}

Results cross_entropy(const Case& c, Variant variant, const std::vector<double>& logits,
                      const std::vector<std::int32_t>& labels) {
  return run(LabelLoss::cross_entropy, c, variant, logits, labels);
}

std::vector<std::int32_t> random_labels(Random& random, const Case& c) {
  std::vector<std::int32_t> labels(c.rows());
  for (std::int32_t& label : labels) label = random.integer(0, c.columns - 1);
  return labels;
}

/// A loss and its twin.
template <typename Twin>
void expect_twin(Make make, const Twin& twin, Variant variant, Random& random) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(describe(c));
    const std::vector<double> rows = random.normal(c.size(), 0, 3);
    const std::vector<std::int32_t> labels = random_labels(random, c);
    const Results actual = run(make, c, variant, rows, labels);
    const reference::LossSums<double> expected = twin(rows, labels);
    EXPECT_LT(relative_error(actual.gradient, expected.gradient), 1e-6);
    EXPECT_NEAR(actual.statistics[0], expected.loss, 1e-6 * expected.loss + 1e-12);
    EXPECT_EQ(actual.statistics[1], static_cast<double>(expected.hits));
    EXPECT_EQ(actual.statistics[2], c.batch);
    EXPECT_TRUE(run(make, c, variant, rows, labels) == actual) << "not deterministic";
    std::vector<std::int32_t> more(7, -1);
    more.insert(more.end(), labels.begin(), labels.end());
    EXPECT_TRUE(run(make, c, variant, rows, more, 7) == actual);
  }
}

TEST_P(LossTest, CrossEntropyIsTheTwin) {
  Random random(41);
  expect_twin(LabelLoss::cross_entropy, reference::softmax_cross_entropy<double>, GetParam(),
              random);
}

TEST_P(LossTest, SquaredErrorIsTheTwin) {
  Random random(42);
  expect_twin(LabelLoss::squared_error, reference::mean_squared_error<double>, GetParam(), random);
}

TEST_P(LossTest, CrossEntropyStandsLargeLogits) {
  const Case c{2, 3, 16};
  const std::vector<double> logits = {1e4, -1e4, 0, 3e38, -3e38, 1};
  const Results actual = cross_entropy(c, GetParam(), logits, {0, 2});
  EXPECT_EQ(actual.gradient, (std::vector<double>{0, 0, 0, 1, 0, -1}));
  EXPECT_FLOAT_EQ(static_cast<float>(actual.statistics[0]), 3e38f);
  EXPECT_EQ(actual.statistics[1], 1);
}

TEST_P(LossTest, AHitIsTheFirstOfEqualLogits) {
  const Case c{4, 20, 32};
  std::vector<double> logits(c.size(), 0.0);  // rows 0 and 1: all equal
  logits[2 * 20 + 3] = logits[2 * 20 + 18] = 5;
  logits[3 * 20 + 3] = logits[3 * 20 + 18] = 5;
  for (const Make make : {LabelLoss::cross_entropy, LabelLoss::squared_error})
    EXPECT_EQ(run(make, c, GetParam(), logits, {0, 7, 3, 18}).statistics[1], 2);
}

TEST_P(LossTest, AnUnknownLabelMakesTheLossNan) {
  const Case c{3, 10, 16};
  const std::vector<double> logits(c.size(), 1.0);
  for (const Make make : {LabelLoss::cross_entropy, LabelLoss::squared_error}) {
    for (const std::int32_t label :
         {-1, 10, 15, 1 << 30, std::numeric_limits<std::int32_t>::min()}) {
      const Results actual = run(make, c, GetParam(), logits, {0, label, 0});
      EXPECT_TRUE(std::isnan(actual.statistics[0])) << label;
      EXPECT_EQ(actual.statistics[1], 2) << label;
    }
  }
}

TEST_P(LossTest, ANanLogitMakesTheLossNan) {
  const Case c{2, 10, 16};
  std::vector<double> logits(c.size(), 1.0);
  logits[14] = std::numeric_limits<double>::quiet_NaN();
  for (const Make make : {LabelLoss::cross_entropy, LabelLoss::squared_error})
    EXPECT_TRUE(std::isnan(run(make, c, GetParam(), logits, {0, 0}).statistics[0]));
}

TEST_P(LossTest, SmallerBatchAfterALargerOneCountsItsOwnRowsAlone) {
  LabelLoss loss = LabelLoss::cross_entropy(test_device(), GetParam(), 10, 16);
  const opencl::Buffer logits = upload(std::vector<double>(64 * 16, 0.0));
  const opencl::Buffer labels = test_device().allocate_zeroed(64 * sizeof(std::int32_t));
  const opencl::Buffer gradient = test_device().allocate(64 * 16 * sizeof(float));
  const opencl::Buffer statistics = poisoned(3);
  for (const int batch : {64, 5}) {
    loss.forward_backward(logits, {labels}, gradient, statistics, batch);
    const std::vector<double> sums = download(statistics);
    EXPECT_NEAR(sums[0], batch * std::log(10.0), 1e-5 * batch);
    EXPECT_EQ(sums[1], batch);
    EXPECT_EQ(sums[2], batch);
  }
}

TEST_P(LossTest, RefusesRowsThatCannotBe) {
  for (const Make make : {LabelLoss::cross_entropy, LabelLoss::squared_error}) {
    EXPECT_THROW(make(test_device(), GetParam(), 10, 10), Error);
    EXPECT_THROW(make(test_device(), GetParam(), 17, 16), Error);
    EXPECT_THROW(make(test_device(), GetParam(), 0, 16), Error);
  }
}

TEST(LossTwin, GradientsAreFiniteDifferences) {
  Random random(43);
  const std::vector<double> x = random.normal(6 * 5);
  const std::vector<std::int32_t> labels = {0, 4, 2, 3, 1, 2};
  const auto entropy = [&](const std::vector<double>& at) {
    return std::vector<double>{reference::softmax_cross_entropy(at, labels).loss};
  };
  const auto squares = [&](const std::vector<double>& at) {
    return std::vector<double>{reference::mean_squared_error(at, labels).loss};
  };
  EXPECT_LT(relative_error(reference::softmax_cross_entropy(x, labels).gradient,
                           finite_differences(entropy, x, {1})),
            1e-8);
  EXPECT_LT(relative_error(reference::mean_squared_error(x, labels).gradient,
                           finite_differences(squares, x, {1})),
            1e-8);
}

}  // namespace
}  // namespace dovetail
