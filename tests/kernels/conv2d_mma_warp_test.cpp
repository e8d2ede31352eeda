// The convolutions for tensor cores, run by the host work-item by work-item, against their twins.
// conv2d_mma_test.cpp runs them where there is such a GPU.
#include <random>

#include "kernels/conv2d_mma_check.hpp"
#include "kernels/warp/conv_runner.hpp"
#include "support/text.hpp"

namespace dovetail::warp {
namespace {

class Conv2dMmaWarpTest : public ::testing::TestWithParam<int> {};

TEST_P(Conv2dMmaWarpTest, IsItsTwin) {
  const char* wanted = std::getenv("DOVETAIL_TEST_SEED");
  const unsigned seed = wanted ? static_cast<unsigned>(std::stoul(wanted)) : std::random_device{}();
  SCOPED_TRACE(fmt::format("repeat with DOVETAIL_TEST_SEED={}", seed));
  testing::Random random(seed);
  const auto number = static_cast<std::size_t>(GetParam());
  const Case c = cases()[number];
  ConvRunner runner(c, number);
  testing::expect_twin(c, runner, random);
}

using Conv2dMmaImagesWarpTest = Conv2dMmaWarpTest;

TEST_P(Conv2dMmaImagesWarpTest, AreTheInputThatTheyMake) {
  const auto number = static_cast<std::size_t>(GetParam());
  const Case c = cases()[number];
  testing::Random random(std::random_device{}());
  ConvRunner runner(c, number);
  testing::expect_images_are_inputs(c, runner, random);
}

using Conv2dMmaStatisticsWarpTest = Conv2dMmaWarpTest;

TEST_P(Conv2dMmaStatisticsWarpTest, AreThoseOfWhatItStores) {
  const auto number = static_cast<std::size_t>(GetParam());
  const Case c = cases()[number];
  testing::Random random(std::random_device{}());
  ConvRunner runner(c, number);
  for (const double mean : {0.0, 1000.0}) testing::expect_statistics(c, runner, random, mean);
  const testing::Statistics& statistics = runner.statistics();
  const Layout& y = c.shape.output;
  const int pixels = c.extents.batch * y.height * y.width;
  const std::size_t written = extent(quotient_up(pixels, statistics.pixels) * y.channel_stride);
  for (std::size_t i = written; i < statistics.means.size(); ++i)
    ASSERT_EQ(statistics.means[i] + statistics.deviations[i], 2 * testing::poison);
}

using Conv2dMmaGradientSumsWarpTest = Conv2dMmaWarpTest;

TEST_P(Conv2dMmaGradientSumsWarpTest, AreThoseOfTheGradientThatItStores) {
  testing::Random random(std::random_device{}());
  const auto number = static_cast<std::size_t>(GetParam());
  const Case c = cases()[number];
  ConvRunner runner(c, number);
  testing::expect_gradient_sums(c, runner, random);
}

TEST_P(Conv2dMmaWarpTest, PassesOfALaunchAreThoseOfTheirOwn) {
  testing::Random random(std::random_device{}());
  const auto number = static_cast<std::size_t>(GetParam());
  const Case c = cases()[number];
  const int images = c.extents.batch;
  ConvRunner runner(c, number);
  const std::vector<float> x = testing::to_float(random.normal(c.shape.input.size())),
                           dy = testing::to_float(random.normal(c.shape.output.size()));
  if (c.shape.normalised) testing::normalised(c, random.normal(c.extents.x_size()), runner, random);
  if (c.shape.norm_gradient) testing::through_norm(c, runner, random);
  std::vector<float> bias =
      testing::to_float(random.normal(static_cast<std::size_t>(c.shape.output.channel_stride)));
  runner.forward(
      x,
      reference::weight_to_device(testing::to_float(random.normal(c.extents.weight_size())),
                                  c.extents.out, c.extents.in, c.extents.kernel),
      bias);
  std::vector<float> alone;
  for (int image = 0; image < images; ++image) {
    const std::vector<float> own = runner.partial_gradients(x, dy, image, 1, 1);
    alone.insert(alone.end(), own.begin(), own.end());
  }
  EXPECT_EQ(runner.partial_gradients(x, dy, 0, 1, images), alone);
}

TEST(Conv2dMmaCuts, OfAKindGiveTheSameBits) {
  const std::vector<Case> all = cases();
  const auto same = [](const Case& a, const Case& b) {
    return a.format == b.format && a.pool == b.pool && a.shape == b.shape;
  };
  int compared = 0;
  for (std::size_t first = 0, end; first < all.size(); first = end) {
    end = first + 1;
    while (end < all.size() && same(all[first], all[end])) ++end;
    if (end == first + 1 || conv_mma::is_narrow(all[first].shape.input)) continue;
    ++compared;
    testing::expect_one_order(
        {all.begin() + std::ptrdiff_t(first), all.begin() + std::ptrdiff_t(end)},
        std::random_device{}(),
        [&](std::size_t i) { return ConvRunner(all[first + i], first + i); });
  }
  EXPECT_GT(compared, 8);
}

TEST(Conv2dMmaTiles, OfWideImagesFit) {
  for (const int pool : {1, 2}) {
    const Conv2dPoolShape shape =
        make_case({1, 32, 64, 90, 90, 3, 1, 1}, pool, ComputeFormat::tf32, false, 0).shape;
    EXPECT_TRUE(Conv2dMma::fits(shape)) << "pool " << pool;
    for (const conv_mma::GradientCut& cut : conv_mma::gradient_cuts(shape))
      EXPECT_LE(conv_mma::wide_weight(shape, cut).shared_bytes(), conv_mma::most_shared);
  }
}

/// Those of cases that `asked` is true of.
template <typename Asked>
std::vector<int> numbers(const Asked& asked) {
  std::vector<int> found;
  for (int i = 0; i < static_cast<int>(cases().size()); ++i) {
    if (asked(cases()[static_cast<std::size_t>(i)].shape)) found.push_back(i);
  }
  return found;
}

std::string name_of(const ::testing::TestParamInfo<int>& instance) {
  const Case c = cases()[static_cast<std::size_t>(instance.param)];
  return fmt::format("{}_of_{}_on_{}x{}_to_{}_pool_{}_in_{}{}{}", instance.param, c.extents.in,
                     c.extents.height, c.extents.width, c.extents.out, c.pool, to_string(c.format),
                     c.shape.statistics ? "_with_statistics" : "",
                     c.shape.norm_gradient ? "_through_a_norm" : "");
}

INSTANTIATE_TEST_SUITE_P(Cases, Conv2dMmaWarpTest,
                         ::testing::ValuesIn(numbers([](const auto&) { return true; })), name_of);
INSTANTIATE_TEST_SUITE_P(Cases, Conv2dMmaImagesWarpTest,
                         ::testing::ValuesIn(numbers([](const auto& shape) {
                           return conv_mma::is_narrow(shape.input);
                         })),
                         name_of);
INSTANTIATE_TEST_SUITE_P(
    Cases, Conv2dMmaStatisticsWarpTest,
    ::testing::ValuesIn(numbers([](const auto& shape) { return shape.statistics; })), name_of);
INSTANTIATE_TEST_SUITE_P(
    Cases, Conv2dMmaGradientSumsWarpTest,
    ::testing::ValuesIn(numbers([](const auto& shape) { return shape.gradient_sums; })), name_of);

}  // namespace
}  // namespace dovetail::warp
