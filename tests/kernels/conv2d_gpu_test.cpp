// Conv2dGpu with and without a max-pool behind it, against its twin and against the input that
// images make. Conv2d's tests have its candidates, formats and edges.
#include "ops/conv2d_gpu.hpp"

#include "kernels/compute_fixture.hpp"
#include "kernels/conv2d_mma_check.hpp"
#include "kernels/conv2d_runner.hpp"
#include "ops/conv2d_tiles.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using warp::Case;

class Conv2dGpuTest : public DeviceTest<int> {
 protected:
  using Runner = testing::DeviceRunner<Conv2dGpu>;

  Runner runner_of(const Case& c, const ConvKernels& kernels = {}) {
    return {device(), c, Conv2dGpu(device(), c.shape, true, c.format, kernels)};
  }
  testing::Random values() { return testing::Random(static_cast<unsigned>(between(0, 1 << 30))); }

  Case random_case(int pool) {
    reference::Conv2dExtents e{};
    e.kernel = between(1, 5);
    e.stride = one_of({1, 1, 2});
    e.padding = between(0, e.kernel - 1);
    const bool narrow = between(0, 1) == 0;
    e.in = narrow ? between(1, 5) : between(1, 50);
    e.out = between(1, 70);
    const int least = std::max(1, (pool - 1) * e.stride + e.kernel - 2 * e.padding);
    e.height = least + between(0, 9);
    e.width = least + between(0, 9);
    e.batch = between(1, 9);
    const ComputeFormat format =
        one_of({ComputeFormat::float32, ComputeFormat::float32, ComputeFormat::bf16});
    Case c = warp::make_case(e, pool, format, narrow, between(0, 1));
    c.shape.normalised =
        !narrow && format == ComputeFormat::float32 && e.in % 4 == 0 && between(0, 1) == 0;
    return c;
  }

  static std::string describe(const Case& c) {
    const auto& e = c.extents;
    return fmt::format("batch {}, {}x{}x{} -> {}, kernel {}, stride {}, padding {}, pool {}, {}{}",
                       e.batch, e.in, e.height, e.width, e.out, e.kernel, e.stride, e.padding,
                       c.pool, to_string(c.format), c.shape.normalised ? ", normalised" : "");
  }
};

TEST_F(Conv2dGpuTest, IsItsTwin) {
  testing::Random random = values();
  const auto make = [](const reference::Conv2dExtents& e, int pool, bool narrow) {
    return warp::make_case(e, pool, ComputeFormat::float32, narrow, 0);
  };
  std::vector<Case> all = {
      make({5, 1, 32, 28, 28, 3, 1, 1}, 2, true), make({3, 32, 64, 14, 14, 3, 1, 1}, 2, false),
      make({2, 3, 64, 9, 11, 3, 1, 1}, 1, true), make({2, 64, 64, 7, 7, 3, 1, 1}, 1, false)};
  for (Case c :
       {make({3, 20, 40, 9, 7, 3, 1, 1}, 1, false), make({2, 8, 17, 8, 9, 2, 2, 1}, 1, false),
        make({4, 64, 24, 6, 6, 3, 1, 1}, 2, false)}) {
    c.shape.normalised = true;
    all.push_back(c);
  }
  while (all.size() < 13) all.push_back(random_case(static_cast<int>(all.size() % 2) + 1));
  for (const Case& c : all) {
    SCOPED_TRACE(describe(c));
    Runner runner = runner_of(c);
    testing::expect_twin(c, runner, random);
  }
}

TEST_F(Conv2dGpuTest, EveryCandidateWithAPoolIsItsTwin) {
  testing::Random random = values();
  const Case c = warp::make_case({3, 20, 128, 7, 9, 3, 1, 1}, 2, ComputeFormat::float32, false, 0);
  for (const Direction direction :
       {Direction::forward, Direction::input_gradient, Direction::weight_gradient}) {
    const std::vector<ConvKernels> candidates = conv_gpu_candidates(c.shape, direction);
    EXPECT_GE(candidates.size(), 3u);
    for (std::size_t i = 1; i < candidates.size(); ++i) {
      SCOPED_TRACE(candidates[i].name(direction));
      Runner runner = runner_of(c, candidates[i]);
      testing::expect_twin(c, runner, random);
    }
  }
}

TEST_F(Conv2dGpuTest, MakesItsInputFromImages) {
  testing::Random random = values();
  std::vector<Case> all = {
      warp::make_case({5, 1, 32, 28, 28, 3, 1, 1}, 2, ComputeFormat::float32, true, 0),
      warp::make_case({3, 4, 16, 9, 7, 3, 1, 0}, 1, ComputeFormat::float32, true, 0),
      warp::make_case({2, 3, 20, 8, 9, 1, 1, 1}, 1, ComputeFormat::float32, true, 0)};
  while (all.size() < 9) {
    Case c = random_case(static_cast<int>(all.size() % 2) + 1);
    c.format = ComputeFormat::float32;
    if (!conv_mma::is_narrow(c.shape.input)) continue;
    all.push_back(c);
  }
  for (const Case& c : all) {
    SCOPED_TRACE(describe(c));
    Runner runner = runner_of(c);
    ASSERT_TRUE(Conv2dGpu(device(), c.shape, true).takes_images());
    testing::expect_images_are_inputs(c, runner, random);
  }
}

TEST_F(Conv2dGpuTest, KeepsTheFirstMaximumAndANan) {
  // Small integers: their sums are exact, and many are equal.
  testing::Random random = values();
  const Case c = warp::make_case({3, 16, 32, 9, 8, 3, 1, 1}, 2, ComputeFormat::float32, false, 0);
  const auto& e = c.extents;
  Conv2dGpu conv(device(), c.shape, true);
  std::vector<double> x = random.integers(e.x_size(), -1, 1);
  const std::vector<double> weight = random.integers(e.weight_size(), -1, 1),
                            bias = random.integers(32, -1, 1);
  const opencl::Buffer weights =
      upload(reference::weight_to_device(testing::to_float(weight), e.out, e.in, e.kernel));
  const opencl::Buffer biases = upload(testing::to_float(bias));
  const auto forward = [&] {
    const opencl::Buffer y = testing::poisoned(c.shape.output.size());
    conv.forward(testing::upload_map(c.shape.input, e.batch, x), weights, biases, y, e.batch, true);
    return testing::download_map(c.shape.output, e.batch, y);
  };
  const std::vector<double> y = forward();
  EXPECT_EQ(y, reference::conv2d_max_pool(e, 2, x, weight, bias, true));
  std::vector<double> dy = random.normal(y.size());
  for (std::size_t i = 0; i < dy.size(); ++i) dy[i] = y[i] <= 0 ? 0 : dy[i];
  const opencl::Buffer dx = testing::poisoned(c.shape.input.size());
  conv.input_gradient(testing::upload_map(c.shape.output, e.batch, dy), weights,
                      testing::upload_map(c.shape.input, e.batch, x), dx, e.batch, false);
  const std::vector<double> gradient = reference::conv2d_max_pool_gradient(
      e, 2, reference::conv2d(e, x, weight, bias, true), dy, true);
  EXPECT_LT(
      testing::relative_error(testing::download_map(c.shape.input, e.batch, dx),
                              reference::conv2d_input_gradient(e, gradient, weight, x, false)),
      1e-5);

  x[0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(forward()[0]));
}

TEST_F(Conv2dGpuTest, RefusesWhatItCannotDo) {
  const Case c = warp::make_case({2, 16, 16, 9, 9, 3, 1, 1}, 2, ComputeFormat::float32, false, 0);
  Conv2dPoolShape shape = c.shape;
  shape.pool = 3;
  shape.output = feature_map(2, 3, 3, 16);
  EXPECT_FALSE(Conv2dGpu::fits(shape));
  EXPECT_THROW(Conv2dGpu(device(), shape, true), Error);
  const opencl::Buffer any = device().allocate(64);
  Conv2dGpu forward_only(device(), c.shape, false);
  EXPECT_THROW(forward_only.weight_gradient(any, any, any, any, 1), Error);
  EXPECT_THROW(forward_only.forward(any, any, any, any, c.shape.output.batch + 1, true), Error);
  Conv2dGpu rounds(device(), c.shape, true, ComputeFormat::bf16);
  EXPECT_FALSE(rounds.takes_images());
}

}  // namespace
}  // namespace dovetail
