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

INSTANTIATE_TEST_SUITE_P(Cases, Conv2dMmaWarpTest,
                         ::testing::Range(0, static_cast<int>(cases().size())),
                         [](const auto& instance) {
                           const Case c = cases()[static_cast<std::size_t>(instance.param)];
                           return fmt::format("{}_of_{}_on_{}x{}_to_{}_pool_{}_in_{}",
                                              instance.param, c.extents.in, c.extents.height,
                                              c.extents.width, c.extents.out, c.pool,
                                              to_string(c.format));
                         });

}  // namespace
}  // namespace dovetail::warp
