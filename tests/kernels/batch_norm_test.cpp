// Batch normalisation against its twin, and the twin's gradients against finite differences.
#include "ops/batch_norm.hpp"

#include "kernels/feature_maps.hpp"
#include "kernels/finite_differences.hpp"
#include "ops/reference/batch_norm.hpp"
#include "ops/reference/tile_statistics.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using namespace testing;

constexpr double epsilon = 1e-5;

class BatchNormTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, BatchNormTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

struct Case {
  Layout layout;
  int batch;

  std::size_t pixels() const { return static_cast<std::size_t>(layout.height * layout.width); }
  std::size_t channels() const { return static_cast<std::size_t>(layout.channels); }
  std::size_t size() const { return static_cast<std::size_t>(batch) * channels() * pixels(); }
};

/// A convolution's, a dense layer's, one with more lines than slices, and random ones.
std::vector<Case> cases() {
  std::vector<Case> made = {{feature_map(4, 16, 16, 64, 1), 3},
                            {feature_map(40, 1, 1, 100), 37},
                            {feature_map(130, 10, 3, 5), 130}};
  Random random(31);
  for (int i = 0; i < 4; ++i) {
    const int capacity = random.integer(2, 8);
    made.push_back({feature_map(capacity, random.integer(2, 20), random.integer(1, 20),
                                random.integer(1, 70), random.integer(0, 2)),
                    random.integer(1, capacity)});
  }
  return made;
}

std::string describe(const Case& c) {
  return fmt::format("{}x{}x{} halo {}, batch {}", c.layout.channels, c.layout.height,
                     c.layout.width, c.layout.halo, c.batch);
}

/// A value a channel, the padding lanes zero.
opencl::Buffer upload_channels(const Layout& layout, std::vector<double> values) {
  values.resize(static_cast<std::size_t>(layout.channel_stride), 0.0);
  return upload(values);
}

std::vector<double> download_channels(const Layout& layout, const opencl::Buffer& buffer) {
  std::vector<double> values = download(buffer);
  const auto channels = static_cast<std::ptrdiff_t>(layout.channels);
  EXPECT_TRUE(
      std::all_of(values.begin() + channels, values.end(), [](double v) { return v == 0; }));
  values.resize(static_cast<std::size_t>(layout.channels));
  return values;
}

struct Results {
  std::vector<double> y, mean, variance, dx, dgamma, dbeta;
  bool operator==(const Results&) const = default;
};

Results run(const Case& c, Variant variant, const std::vector<double>& x,
            const std::vector<double>& dy, const std::vector<double>& gamma,
            const std::vector<double>& beta) {
  BatchNorm norm(test_device(), variant, c.layout, static_cast<float>(epsilon));
  const auto stride = static_cast<std::size_t>(c.layout.channel_stride);
  const opencl::Buffer x_map = upload_map(c.layout, c.batch, x);
  const opencl::Buffer gammas = upload_channels(c.layout, gamma);
  const opencl::Buffer y = poisoned(c.layout.size());
  const opencl::Buffer dx = poisoned(c.layout.size());
  const opencl::Buffer mean = poisoned(stride);
  const opencl::Buffer variance = poisoned(stride);
  const opencl::Buffer dgamma = poisoned(stride);
  const opencl::Buffer dbeta = poisoned(stride);
  const opencl::Buffer betas = upload_channels(c.layout, beta);
  norm.forward(x_map, gammas, betas, mean, variance, y, c.batch, false);
  norm.backward(x_map, upload_map(c.layout, c.batch, dy), gammas, betas, mean, variance, dx, dgamma,
                dbeta, c.batch);
  return {download_map(c.layout, c.batch, y),    download_channels(c.layout, mean),
          download_channels(c.layout, variance), download_map(c.layout, c.batch, dx),
          download_channels(c.layout, dgamma),   download_channels(c.layout, dbeta)};
}

TEST_P(BatchNormTest, IsTheTwin) {
  Random random(12);
  for (const Case& c : cases()) {
    SCOPED_TRACE(describe(c));
    const std::vector<double> x = random.normal(c.size(), 0.5, 2);
    const std::vector<double> dy = random.normal(c.size(), 0.3);
    const std::vector<double> gamma = random.normal(c.channels(), 1, 0.3);
    const std::vector<double> beta = random.normal(c.channels());
    const Results actual = run(c, GetParam(), x, dy, gamma, beta);
    const auto statistics = reference::channel_statistics(x, c.channels(), c.pixels());
    const auto gradients =
        reference::batch_norm_gradients(x, dy, c.pixels(), statistics, gamma, epsilon);
    EXPECT_LT(relative_error(actual.mean, statistics.mean), 1e-6);
    EXPECT_LT(relative_error(actual.variance, statistics.variance), 1e-6);
    EXPECT_LT(relative_error(
                  actual.y, reference::batch_norm(x, c.pixels(), statistics, gamma, beta, epsilon)),
              1e-5);
    EXPECT_LT(relative_error(actual.dgamma, gradients.dgamma), 1e-5);
    EXPECT_LT(relative_error(actual.dbeta, gradients.dbeta), 1e-5);
    EXPECT_LT(relative_error(actual.dx, gradients.dx), 1e-5);
  }
}

TEST_P(BatchNormTest, IsTheSameBitForBitEveryTime) {
  Random random(13);
  const Case c = cases().front();
  const std::vector<double> x = random.normal(c.size());
  const std::vector<double> dy = random.normal(c.size());
  const std::vector<double> gamma = random.normal(c.channels());
  const std::vector<double> beta = random.normal(c.channels());
  const Results first = run(c, GetParam(), x, dy, gamma, beta);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(run(c, GetParam(), x, dy, gamma, beta) == first);
}

TEST_P(BatchNormTest, VarianceStandsAFarMean) {
  Random random(14);
  const Case c{feature_map(16, 12, 12, 20, 1), 16};
  // float32 resolves 2e-3 of such a deviation; the textbook E[x²] − E[x]² would lose all of it.
  const std::vector<double> x = random.normal(c.size(), 3e4, 1);
  const std::vector<double> zeros(c.size(), 0.0);
  const std::vector<double> ones(c.channels(), 1.0);
  const Results actual = run(c, GetParam(), x, zeros, ones, ones);
  const auto statistics = reference::channel_statistics(x, c.channels(), c.pixels());
  EXPECT_LT(relative_error(actual.variance, statistics.variance), 1e-5);
  EXPECT_LT(relative_error(actual.mean, statistics.mean), 1e-7);
}

/// Of the whole map, in tiles of so many pixels, as a convolution's kernel leaves them.
TileStatistics tiles_of(const Case& c, const std::vector<double>& x, int pixels) {
  const std::vector<float> map = to_float(arrange(c.layout, c.batch, x));
  const int all = c.batch * c.layout.height * c.layout.width;
  std::vector<double> means, deviations;
  for (int first = 0; first < all; first += pixels) {
    const auto moments =
        reference::tile_moments(map, c.layout, first, std::min(pixels, all - first));
    means.insert(means.end(), moments.first.begin(), moments.first.end());
    deviations.insert(deviations.end(), moments.second.begin(), moments.second.end());
  }
  return {upload(means), upload(deviations), pixels};
}

TEST_P(BatchNormTest, FoldsTheStatisticsOfTilesAndDoesNotReadThatMap) {
  Random random(static_cast<unsigned>(::testing::UnitTest::GetInstance()->random_seed()));
  for (const Case& c : cases()) {
    const int all = c.batch * c.layout.height * c.layout.width;
    const double far = random.integer(0, 1) == 1 ? 1000 : 0;
    for (const int pixels : {16, 64, random.integer(16, std::max(16, all)), all, 2 * all}) {
      SCOPED_TRACE(fmt::format("{}, tiles of {} from {} on", describe(c), pixels, far));
      const std::vector<double> x = random.normal(c.size(), far, 2);
      const std::vector<double> gamma = random.normal(c.channels(), 1, 0.3);
      BatchNorm norm(test_device(), GetParam(), c.layout, static_cast<float>(epsilon));
      const auto stride = static_cast<std::size_t>(c.layout.channel_stride);
      const opencl::Buffer y = poisoned(c.layout.size()), mean = poisoned(stride),
                           variance = poisoned(stride);
      const TileStatistics tiles = tiles_of(c, x, pixels);
      norm.forward(poisoned(c.layout.size()), upload_channels(c.layout, gamma),
                   upload_channels(c.layout, gamma), mean, variance, y, c.batch, false, &tiles);
      const auto expected = reference::channel_statistics(x, c.channels(), c.pixels());
      const std::vector<double> means = download_channels(c.layout, mean),
                                variances = download_channels(c.layout, variance);
      // The tiles' means are rounded, which shows in what is between them: far from zero, more.
      for (std::size_t i = 0; i < c.channels(); ++i) {
        const double spread = std::sqrt(expected.variance[i]);
        EXPECT_NEAR(means[i], expected.mean[i], 2e-5 * spread + 2e-7 * far);
        EXPECT_NEAR(variances[i], expected.variance[i], (2e-5 * spread + 2e-7 * far) * spread);
      }
    }
  }
}

TEST_P(BatchNormTest, FoldsTheSumsOfTilesOfItsGradient) {
  Random random(static_cast<unsigned>(::testing::UnitTest::GetInstance()->random_seed()));
  for (const Case& c : cases()) {
    SCOPED_TRACE(describe(c));
    const std::vector<double> x = random.normal(c.size(), 0.5, 2);
    const std::vector<double> dy = random.normal(c.size(), 0.3);
    const std::vector<double> gamma = random.normal(c.channels(), 1, 0.3);
    const auto statistics = reference::channel_statistics(x, c.channels(), c.pixels());
    const auto expected =
        reference::batch_norm_gradients(x, dy, c.pixels(), statistics, gamma, epsilon);
    const int all = c.batch * c.layout.height * c.layout.width;
    std::vector<double> means = statistics.mean;
    means.resize(static_cast<std::size_t>(c.layout.channel_stride));
    for (const int pixels : {16, random.integer(16, std::max(16, all)), 2 * all}) {
      std::vector<double> sums, products;
      for (int first = 0; first < all; first += pixels) {
        const auto tile = reference::tile_gradients(
            to_float(arrange(c.layout, c.batch, x)), to_float(arrange(c.layout, c.batch, dy)),
            c.layout, to_float(means), first, std::min(pixels, all - first));
        sums.insert(sums.end(), tile.first.begin(), tile.first.end());
        products.insert(products.end(), tile.second.begin(), tile.second.end());
      }
      const TileGradients tiles{upload(sums), upload(products), pixels};
      BatchNorm norm(test_device(), GetParam(), c.layout, static_cast<float>(epsilon));
      const auto stride = static_cast<std::size_t>(c.layout.channel_stride);
      const opencl::Buffer dx = poisoned(c.layout.size()), dgamma = poisoned(stride),
                           dbeta = poisoned(stride), unused = poisoned(stride);
      norm.backward(
          upload_map(c.layout, c.batch, x), upload_map(c.layout, c.batch, dy),
          upload_channels(c.layout, gamma), unused, upload_channels(c.layout, statistics.mean),
          upload_channels(c.layout, statistics.variance), dx, dgamma, dbeta, c.batch, &tiles);
      EXPECT_LT(relative_error(download_channels(c.layout, dgamma), expected.dgamma), 1e-5);
      EXPECT_LT(relative_error(download_channels(c.layout, dbeta), expected.dbeta), 1e-5);
      EXPECT_LT(relative_error(download_map(c.layout, c.batch, dx), expected.dx), 1e-5);
    }
  }
}

TEST_P(BatchNormTest, LeavesTheLawOfTheGradientThatItDoesNotWrite) {
  Random random(static_cast<unsigned>(::testing::UnitTest::GetInstance()->random_seed()));
  for (const Case& c : cases()) {
    SCOPED_TRACE(describe(c));
    const std::vector<double> x = random.normal(c.size(), 0.5, 2), dy = random.normal(c.size());
    const std::vector<double> gamma = random.normal(c.channels(), 1, 0.3);
    const Results written = run(c, GetParam(), x, dy, gamma, gamma);
    BatchNorm norm(test_device(), GetParam(), c.layout, static_cast<float>(epsilon));
    const auto stride = static_cast<std::size_t>(c.layout.channel_stride);
    const opencl::Buffer x_map = upload_map(c.layout, c.batch, x),
                         dy_map = upload_map(c.layout, c.batch, dy),
                         gammas = upload_channels(c.layout, gamma), mean = poisoned(stride),
                         variance = poisoned(stride), dgamma = poisoned(stride),
                         dbeta = poisoned(stride);
    norm.prepare(x_map, gammas, gammas, mean, variance, c.batch);
    norm.prepare_backward(x_map, dy_map, gammas, mean, variance, dgamma, dbeta, c.batch);
    EXPECT_EQ(download_channels(c.layout, dgamma), written.dgamma);
    EXPECT_EQ(download_channels(c.layout, dbeta), written.dbeta);
    const NormLaw law = norm.law();
    const std::vector<float> rows = test_device().download<float>(law.rows);
    const auto value = [&](std::size_t row, std::size_t channel) {
      return rows[row * static_cast<std::size_t>(law.pitch) + channel];
    };
    for (std::size_t row = 0; row < 6; ++row) {
      for (std::size_t channel = c.channels(); channel < stride; ++channel)
        EXPECT_EQ(value(row, channel), 0.0f) << "row " << row;
    }
    for (std::size_t i = 0; i < c.size(); ++i) {
      const std::size_t channel = i / c.pixels() % c.channels();
      const float gradient = static_cast<float>(dy[i]) - value(4, channel);
      const float dx =
          std::fma(value(0, channel) - static_cast<float>(x[i]), value(5, channel), gradient) *
          value(3, channel);
      ASSERT_EQ(static_cast<double>(dx), written.dx[i]) << "element " << i;
    }
  }
}

TEST_P(BatchNormTest, RefusesTilesOfSeveralPasses) {
  const Layout layout = feature_map(2, 4, 4, 16);
  BatchNorm norm(test_device(), GetParam(), layout, static_cast<float>(epsilon));
  const opencl::Buffer map = poisoned(layout.size()), channels = poisoned(32);
  const TileStatistics tiles{map, map, 16};
  EXPECT_THROW(norm.forward(map, channels, channels, channels, channels, map, JoinedBatch(1, 2),
                            false, &tiles),
               Error);
  const TileGradients of_gradient{map, map, 16};
  EXPECT_THROW(norm.backward(map, map, channels, channels, channels, channels, map, channels,
                             channels, JoinedBatch(1, 2), &of_gradient),
               Error);
}

TEST_P(BatchNormTest, InferenceUsesTheGivenStatistics) {
  Random random(15);
  for (const Case& c : cases()) {
    SCOPED_TRACE(describe(c));
    const std::vector<double> x = random.normal(c.size());
    const std::vector<double> gamma = random.normal(c.channels());
    const std::vector<double> beta = random.normal(c.channels());
    reference::ChannelStatistics<double> given{random.normal(c.channels()),
                                               random.normal(c.channels())};
    for (double& variance : given.variance) variance = std::abs(variance);
    BatchNorm norm(test_device(), GetParam(), c.layout, static_cast<float>(epsilon));
    const opencl::Buffer y = poisoned(c.layout.size());
    const opencl::Buffer mean = upload_channels(c.layout, given.mean);
    norm.infer(upload_map(c.layout, c.batch, x), upload_channels(c.layout, gamma),
               upload_channels(c.layout, beta), mean, upload_channels(c.layout, given.variance), y,
               c.batch, true);
    std::vector<double> expected =
        reference::batch_norm(x, c.pixels(), given, gamma, beta, epsilon);
    for (double& value : expected) value = std::max(value, 0.0);
    EXPECT_LT(relative_error(download_map(c.layout, c.batch, y), expected), 1e-5);
    EXPECT_EQ(download_channels(c.layout, mean), given.mean);
  }
}

TEST_P(BatchNormTest, BackwardMayWriteOverItsInput) {
  Random random(16);
  const Case c{feature_map(3, 6, 5, 18, 1), 3};
  const std::vector<double> x = random.normal(c.size());
  const std::vector<double> dy = random.normal(c.size());
  const std::vector<double> gamma = random.normal(c.channels());
  const Results apart = run(c, GetParam(), x, dy, gamma, gamma);
  BatchNorm norm(test_device(), GetParam(), c.layout, static_cast<float>(epsilon));
  const opencl::Buffer gradient = upload_map(c.layout, c.batch, dy);
  const opencl::Buffer unused = upload_channels(c.layout, {});
  norm.backward(upload_map(c.layout, c.batch, x), gradient, upload_channels(c.layout, gamma),
                unused, upload_channels(c.layout, apart.mean),
                upload_channels(c.layout, apart.variance), gradient, unused, unused, c.batch);
  for_each_element(c.layout, c.batch,
                   [&, values = download(gradient)](std::size_t i, std::size_t at) {
                     ASSERT_EQ(values[at], apart.dx[i]);
                   });
}

TEST_P(BatchNormTest, RefusesAnEpsilonOfZero) {
  EXPECT_THROW(BatchNorm(test_device(), GetParam(), feature_map(1, 1, 1, 16), 0), Error);
  EXPECT_THROW(BatchNorm(test_device(), GetParam(), input_map(1, 4, 4, 3), 1e-5f), Error);
}

TEST(BatchNormTwin, GradientsAreFiniteDifferences) {
  Random random(17);
  constexpr std::size_t channels = 3;
  constexpr std::size_t pixels = 6;
  const std::vector<double> x = random.normal(4 * channels * pixels);
  const std::vector<double> dy = random.normal(x.size());
  const std::vector<double> gamma = random.normal(channels);
  const std::vector<double> beta = random.normal(channels);
  const auto forward = [&](const std::vector<double>& at, const std::vector<double>& g,
                           const std::vector<double>& b) {
    return reference::batch_norm(at, pixels, reference::channel_statistics(at, channels, pixels), g,
                                 b, epsilon);
  };
  const auto gradients = reference::batch_norm_gradients(
      x, dy, pixels, reference::channel_statistics(x, channels, pixels), gamma, epsilon);
  const auto by_x = [&](const std::vector<double>& at) { return forward(at, gamma, beta); };
  const auto by_gamma = [&](const std::vector<double>& at) { return forward(x, at, beta); };
  const auto by_beta = [&](const std::vector<double>& at) { return forward(x, gamma, at); };
  EXPECT_LT(relative_error(gradients.dx, finite_differences(by_x, x, dy)), 1e-7);
  EXPECT_LT(relative_error(gradients.dgamma, finite_differences(by_gamma, gamma, dy)), 1e-8);
  EXPECT_LT(relative_error(gradients.dbeta, finite_differences(by_beta, beta, dy)), 1e-8);
}

}  // namespace
}  // namespace dovetail
