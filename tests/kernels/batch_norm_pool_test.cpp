// Batch normalisation with its pool against the twins of both, one after the other.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/feature_maps.hpp"
#include "ops/batch_norm.hpp"
#include "ops/reference/batch_norm.hpp"
#include "ops/reference/pool2d.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using namespace testing;

constexpr double epsilon = 1e-5;

class BatchNormPoolTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, BatchNormPoolTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

struct Case {
  Layout input, output;
  int pool, batch;
  bool relu;

  std::size_t pixels() const { return extent(input.height * input.width); }
  std::size_t channels() const { return extent(input.channels); }
  std::size_t size() const { return extent(batch) * channels() * pixels(); }
  reference::Pool twin() const {
    return {.images = extent(batch * input.channels),
            .height = extent(input.height),
            .width = extent(input.width),
            .kernel = extent(pool),
            .stride = extent(pool)};
  }
};

Case make_case(int capacity, int batch, int height, int width, int channels, int pool, int in_halo,
               int out_halo, bool relu) {
  return {feature_map(capacity, height, width, channels, in_halo),
          feature_map(capacity, height / pool, width / pool, channels, out_halo), pool, batch,
          relu};
}

/// A convolution's, one with more lines than slices, and random ones with ragged edges.
std::vector<Case> cases(Random& random) {
  std::vector<Case> made = {make_case(4, 3, 16, 16, 64, 2, 1, 1, true),
                            make_case(130, 130, 20, 4, 5, 2, 0, 0, true),
                            make_case(3, 2, 9, 7, 80, 3, 0, 1, false)};
  for (int i = 0; i < 4; ++i) {
    const int capacity = random.integer(1, 6), pool = random.integer(2, 3);
    made.push_back(make_case(capacity, random.integer(1, capacity), random.integer(pool, 17),
                             random.integer(pool, 17), random.integer(1, 70), pool,
                             random.integer(0, 2), random.integer(0, 2), i % 2 == 0));
  }
  return made;
}

std::string describe(const Case& c) {
  return fmt::format("{}x{}x{} halo {}, pool {}, batch {}", c.input.channels, c.input.height,
                     c.input.width, c.input.halo, c.pool, c.batch);
}

/// Multiples of 1/64: values of a window are equal, or too far apart for rounding to make them so.
std::vector<double> coarse(Random& random, std::size_t count) {
  std::vector<double> values = random.integers(count, -150, 250);
  for (double& value : values) value /= 64;
  return values;
}

/// A value a channel, the padding lanes zero.
opencl::Buffer upload_channels(const Layout& layout, std::vector<double> values) {
  values.resize(extent(layout.channel_stride), 0.0);
  return upload(values);
}

std::vector<double> download_channels(const Layout& layout, const opencl::Buffer& buffer) {
  std::vector<double> values = download(buffer);
  values.resize(extent(layout.channels));
  return values;
}

struct Inputs {
  std::vector<double> x, gamma, beta;
  explicit Inputs(const Case& c, Random& random)
      : x(coarse(random, c.size())),
        gamma(random.normal(c.channels(), 1, 0.5)),
        beta(random.normal(c.channels())) {}
};

/// The pooled map, and the normalised one that it was taken from.
struct Expected {
  std::vector<double> y, normalised;
};

Expected expected(const Case& c, const Inputs& in,
                  const reference::ChannelStatistics<double>& statistics) {
  Expected made;
  made.normalised = reference::batch_norm(in.x, c.pixels(), statistics, in.gamma, in.beta, epsilon);
  made.y = reference::max_pool(c.twin(), made.normalised);
  if (c.relu) {
    for (double& value : made.y) value = std::max(value, 0.0);
  }
  return made;
}

/// Of sums over channels, whose terms may cancel each other: relative to the largest channel's sum
/// of the magnitudes in `dy`, [batch, channels, pixels of the pooled map].
double error_of_sums(const Case& c, const opencl::Buffer& sums, const std::vector<double>& expected,
                     const std::vector<double>& dy) {
  std::vector<double> magnitudes(c.channels());
  const std::size_t pixels = dy.size() / (extent(c.batch) * c.channels());
  for (std::size_t i = 0; i < dy.size(); ++i)
    magnitudes[i / pixels % c.channels()] += std::abs(dy[i]);
  return largest_difference(download_channels(c.input, sums), expected) /
         std::max(std::ranges::max(magnitudes), 1e-30);
}

TEST_P(BatchNormPoolTest, IsTheTwinsOneAfterTheOther) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (const Case& c : cases(random)) {
    SCOPED_TRACE(describe(c));
    const Inputs in(c, random);
    const auto statistics = reference::channel_statistics(in.x, c.channels(), c.pixels());
    const Expected wanted = expected(c, in, statistics);
    std::vector<double> dy = random.normal(wanted.y.size(), 0.3);
    for (std::size_t i = 0; i < dy.size(); ++i) {
      if (c.relu && wanted.y[i] <= 0) dy[i] = 0;
    }

    BatchNorm norm(test_device(), GetParam(), c.input, c.output, c.pool,
                   static_cast<float>(epsilon));
    const std::size_t stride = extent(c.input.channel_stride);
    const opencl::Buffer x = upload_map(c.input, c.batch, in.x);
    const opencl::Buffer gamma = upload_channels(c.input, in.gamma);
    const opencl::Buffer beta = upload_channels(c.input, in.beta);
    const opencl::Buffer mean = poisoned(stride), variance = poisoned(stride);
    const opencl::Buffer y = poisoned(c.output.size()), dx = poisoned(c.input.size());
    const opencl::Buffer dgamma = poisoned(stride), dbeta = poisoned(stride);
    norm.forward(x, gamma, beta, mean, variance, y, c.batch, c.relu);
    norm.backward(x, upload_map(c.output, c.batch, dy), gamma, beta, mean, variance, dx, dgamma,
                  dbeta, c.batch);

    const auto gradients = reference::batch_norm_gradients(
        in.x, reference::max_pool_gradient(c.twin(), wanted.normalised, dy), c.pixels(), statistics,
        in.gamma, epsilon);
    EXPECT_LT(relative_error(download_channels(c.input, mean), statistics.mean), 1e-6);
    EXPECT_LT(relative_error(download_channels(c.input, variance), statistics.variance), 1e-6);
    EXPECT_LT(relative_error(download_map(c.output, c.batch, y), wanted.y), 1e-5);
    EXPECT_LT(error_of_sums(c, dgamma, gradients.dgamma, dy), 2e-6);
    EXPECT_LT(error_of_sums(c, dbeta, gradients.dbeta, dy), 2e-6);
    EXPECT_LT(relative_error(download_map(c.input, c.batch, dx), gradients.dx), 1e-5);
  }
}

TEST_P(BatchNormPoolTest, InferenceUsesTheGivenStatistics) {
  Random random(25);
  for (const Case& c : cases(random)) {
    SCOPED_TRACE(describe(c));
    const Inputs in(c, random);
    reference::ChannelStatistics<double> given{random.normal(c.channels()),
                                               random.normal(c.channels())};
    for (double& variance : given.variance) variance = std::abs(variance);
    BatchNorm norm(test_device(), GetParam(), c.input, c.output, c.pool,
                   static_cast<float>(epsilon));
    const opencl::Buffer y = poisoned(c.output.size());
    norm.infer(upload_map(c.input, c.batch, in.x), upload_channels(c.input, in.gamma),
               upload_channels(c.input, in.beta), upload_channels(c.input, given.mean),
               upload_channels(c.input, given.variance), y, c.batch, c.relu);
    EXPECT_LT(relative_error(download_map(c.output, c.batch, y), expected(c, in, given).y), 1e-5);
  }
}

TEST_P(BatchNormPoolTest, KeepsANaN) {
  const Case c = make_case(1, 1, 4, 4, 16, 2, 0, 0, true);
  Random random(26);
  Inputs in(c, random);
  in.x[5] = std::numeric_limits<double>::quiet_NaN();  // row 1, column 1 of channel 0
  BatchNorm norm(test_device(), GetParam(), c.input, c.output, c.pool, static_cast<float>(epsilon));
  const opencl::Buffer y = poisoned(c.output.size());
  const opencl::Buffer ones = upload_channels(c.input, std::vector<double>(c.channels(), 1.0));
  norm.infer(upload_map(c.input, 1, in.x), ones, ones, ones, ones, y, 1, true);
  const std::vector<double> values = download_map(c.output, 1, y);
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_FALSE(std::isnan(values[1]));
}

TEST_P(BatchNormPoolTest, RefusesAnotherOutput) {
  const Layout input = feature_map(2, 8, 8, 16, 1);
  const auto make = [&](const Layout& output, int pool) {
    BatchNorm(test_device(), GetParam(), input, output, pool, 1e-5f);
  };
  EXPECT_NO_THROW(make(feature_map(2, 4, 4, 16), 2));
  EXPECT_THROW(make(feature_map(2, 3, 4, 16), 2), Error);
  EXPECT_THROW(make(feature_map(3, 4, 4, 16), 2), Error);
  EXPECT_THROW(make(feature_map(2, 8, 8, 16), 1), Error);
}

}  // namespace
}  // namespace dovetail
