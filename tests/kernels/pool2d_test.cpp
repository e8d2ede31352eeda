// Pooling against its twin, and the twin's gradients against finite differences.
#include "ops/pool2d.hpp"

#include <limits>

#include "kernels/feature_maps.hpp"
#include "kernels/finite_differences.hpp"
#include "ops/reference/pool2d.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using namespace testing;

class Pool2dTest : public BothVariants {};
INSTANTIATE_TEST_SUITE_P(Ops, Pool2dTest, ::testing::Values(Variant::cpu, Variant::gpu),
                         variant_name);

struct Case {
  Pool2dShape shape;
  reference::Pool twin;
  int batch;
};

Case make_case(int capacity, int batch, int height, int width, int channels, int kernel, int stride,
               int in_halo, int out_halo) {
  Case made;
  made.batch = batch;
  made.twin = {.images = static_cast<std::size_t>(batch * channels),
               .height = static_cast<std::size_t>(height),
               .width = static_cast<std::size_t>(width),
               .kernel = static_cast<std::size_t>(kernel),
               .stride = static_cast<std::size_t>(stride)};
  made.shape = {.input = feature_map(capacity, height, width, channels, in_halo),
                .output = feature_map(capacity, (height - kernel) / stride + 1,
                                      (width - kernel) / stride + 1, channels, out_halo),
                .kernel = kernel,
                .stride = stride};
  return made;
}

/// The nets' pools, then random ones: kernels above, below and equal to the stride, ragged edges,
/// halos, small batches.
std::vector<Case> cases() {
  std::vector<Case> made = {make_case(3, 3, 28, 28, 32, 2, 2, 0, 1),
                            make_case(4, 1, 14, 14, 64, 2, 2, 1, 0)};
  Random random(11);
  const std::vector<std::pair<int, int>> windows = {{2, 2}, {3, 2}, {3, 1}, {2, 3}, {1, 2}, {3, 3}};
  for (const auto& [kernel, stride] : windows) {
    const int capacity = random.integer(1, 4);
    made.push_back(make_case(capacity, random.integer(1, capacity), random.integer(kernel, 12),
                             random.integer(kernel, 12), random.integer(1, 40), kernel, stride,
                             random.integer(0, 2), random.integer(0, 2)));
  }
  return made;
}

std::string describe(const Case& c) {
  return fmt::format("{}x{}x{} halo {}, kernel {}, stride {}, batch {} of {}",
                     c.shape.input.channels, c.shape.input.height, c.shape.input.width,
                     c.shape.input.halo, c.shape.kernel, c.shape.stride, c.batch,
                     c.shape.input.batch);
}

TEST_P(Pool2dTest, MaximaAreTheTwins) {
  Random random(1);
  for (const Case& c : cases()) {
    SCOPED_TRACE(describe(c));
    Pool2d pool(test_device(), GetParam(), PoolKind::max, c.shape);
    const std::vector<double> x = random.normal(c.twin.in_size(), -1);
    const opencl::Buffer y = poisoned(c.shape.output.size());
    pool.forward(upload_map(c.shape.input, c.batch, x), y, c.batch);
    EXPECT_EQ(download_map(c.shape.output, c.batch, y), reference::max_pool(c.twin, x));
  }
}

TEST_P(Pool2dTest, AveragesAreTheTwins) {
  Random random(2);
  for (const Case& c : cases()) {
    SCOPED_TRACE(describe(c));
    Pool2d pool(test_device(), GetParam(), PoolKind::average, c.shape);
    const std::vector<double> x = random.normal(c.twin.in_size());
    const opencl::Buffer y = poisoned(c.shape.output.size());
    pool.forward(upload_map(c.shape.input, c.batch, x), y, c.batch);
    EXPECT_LT(relative_error(download_map(c.shape.output, c.batch, y),
                             reference::average_pool(c.twin, x)),
              1e-6);
  }
}

/// Runs forward and backward on the device; returns dx.
std::vector<double> gradient_on_device(const Case& c, Variant variant, PoolKind kind,
                                       const std::vector<double>& x, const std::vector<double>& dy,
                                       bool mask) {
  Pool2d pool(test_device(), variant, kind, c.shape);
  const opencl::Buffer x_map = upload_map(c.shape.input, c.batch, x);
  const opencl::Buffer y_map = test_device().allocate_zeroed(c.shape.output.bytes());
  const opencl::Buffer dx_map = poisoned(c.shape.input.size());
  pool.forward(x_map, y_map, c.batch);
  pool.backward(x_map, y_map, upload_map(c.shape.output, c.batch, dy), dx_map, c.batch, mask);
  return download_map(c.shape.input, c.batch, dx_map);
}

std::vector<double> masked(std::vector<double> dx, const std::vector<double>& x) {
  for (std::size_t i = 0; i < x.size(); ++i) dx[i] = x[i] <= 0 ? 0 : dx[i];
  return dx;
}

TEST_P(Pool2dTest, GradientsAreTheTwinsWhereMaximaTie) {
  Random random(3);
  for (const Case& c : cases()) {
    for (const bool mask : {false, true}) {
      SCOPED_TRACE(describe(c) + (mask ? ", masked" : ""));
      const std::vector<double> x = random.integers(c.twin.in_size(), -2, 2);
      const std::vector<double> dy = random.normal(c.twin.out_size());
      const std::vector<double> by_max = reference::max_pool_gradient(c.twin, x, dy);
      const std::vector<double> by_average = reference::average_pool_gradient(c.twin, dy);
      EXPECT_LT(relative_error(gradient_on_device(c, GetParam(), PoolKind::max, x, dy, mask),
                               mask ? masked(by_max, x) : by_max),
                1e-6);
      EXPECT_LT(relative_error(gradient_on_device(c, GetParam(), PoolKind::average, x, dy, mask),
                               mask ? masked(by_average, x) : by_average),
                1e-6);
    }
  }
}

TEST_P(Pool2dTest, KeepsANanOfItsWindow) {
  const Case c = make_case(1, 1, 4, 4, 1, 2, 2, 0, 0);
  std::vector<double> x(16, 1.0);
  x[0] = x[7] = std::numeric_limits<double>::quiet_NaN();  // first of window 0, last of window 1
  Pool2d pool(test_device(), GetParam(), PoolKind::max, c.shape);
  const opencl::Buffer y = poisoned(c.shape.output.size());
  pool.forward(upload_map(c.shape.input, 1, x), y, 1);
  const std::vector<double> values = download_map(c.shape.output, 1, y);
  EXPECT_TRUE(std::isnan(values[0]) && std::isnan(values[1]));
  EXPECT_EQ(values[2], 1);
  EXPECT_EQ(values[3], 1);
}

TEST_P(Pool2dTest, RefusesWhatItCannotPool) {
  Pool2dShape shape = make_case(2, 2, 6, 6, 16, 2, 2, 0, 0).shape;
  Pool2d pool(test_device(), GetParam(), PoolKind::max, shape);
  const opencl::Buffer map = test_device().allocate_zeroed(shape.input.bytes());
  EXPECT_THROW(pool.forward(map, map, 3), Error);
  EXPECT_THROW(pool.forward(map, map, 0), Error);
  shape.output.width = 4;
  EXPECT_THROW(Pool2d(test_device(), GetParam(), PoolKind::max, shape), Error);
  shape.kernel = 7;
  EXPECT_THROW(Pool2d(test_device(), GetParam(), PoolKind::max, shape), Error);
}

TEST(Pool2dTwin, GradientsAreFiniteDifferences) {
  Random random(4);
  for (const auto& [kernel, stride] : {std::pair{2, 2}, {3, 2}, {3, 1}, {2, 3}}) {
    const reference::Pool pool = make_case(2, 2, 7, 6, 2, kernel, stride, 0, 0).twin;
    const std::vector<double> x = random.normal(pool.in_size());
    const std::vector<double> dy = random.normal(pool.out_size());
    const auto forward_max = [&](const std::vector<double>& at) {
      return reference::max_pool(pool, at);
    };
    const auto forward_average = [&](const std::vector<double>& at) {
      return reference::average_pool(pool, at);
    };
    EXPECT_LT(relative_error(reference::max_pool_gradient(pool, x, dy),
                             finite_differences(forward_max, x, dy)),
              1e-8);
    EXPECT_LT(relative_error(reference::average_pool_gradient(pool, dy),
                             finite_differences(forward_average, x, dy)),
              1e-8);
  }
}

}  // namespace
}  // namespace dovetail
