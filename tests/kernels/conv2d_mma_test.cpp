// Conv2dMma against its twin, on devices with such tensor cores. conv2d_mma_warp_test.cpp runs the
// same kernels anywhere.
#include "ops/conv2d_mma.hpp"

#include "kernels/compute_fixture.hpp"
#include "kernels/conv2d_mma_check.hpp"
#include "kernels/conv2d_runner.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using warp::Case;
using DeviceRunner = testing::DeviceRunner<Conv2dMma>;

DeviceRunner runner_of(opencl::Device& device, const Case& c) {
  return {device, c, Conv2dMma(device, c.shape, true, c.format, c.kernels)};
}

class Conv2dMmaTest : public DeviceTest<int> {
 protected:
  void SetUp() override {
    DeviceTest<int>::SetUp();
    if (!device().takes(opencl::InstructionSet::mma))
      GTEST_SKIP() << device().info().name << " has no such tensor cores";
  }

  Case random_case() {
    reference::Conv2dExtents e{};
    e.kernel = between(2, 5);
    e.stride = 1;
    e.padding = between(0, e.kernel - 1);
    const bool narrow = between(0, 3) == 0;
    e.in = narrow ? between(1, 2) : between(1, 160);
    e.out = between(1, 160);
    const int pool = between(1, 2);
    const bool patches = between(0, 1) == 1;
    if (patches && e.kernel % 2 == 1) e.padding = e.kernel / 2;
    e.height = patches ? 8 * between(1, 4) : e.kernel + between(1, 20);
    e.width = patches ? 8 * between(1, 4) : e.kernel + between(1, 20);
    e.batch = between(1, 20);
    return warp::make_case(e, pool,
                           one_of({ComputeFormat::tf32, ComputeFormat::bf16, ComputeFormat::fp16}),
                           narrow, between(0, 1));
  }
};

// Programs take a second each to compile: no test has all of them.
constexpr int slices = 8;

TEST_P(Conv2dMmaTest, IsItsTwin) {
  testing::Random random(static_cast<unsigned>(between(0, 1 << 30)));
  constexpr std::size_t drawn = 2;
  const std::vector<Case> cases = warp::cases();
  std::vector<Case> all;
  for (std::size_t i = extent(GetParam()); i < cases.size(); i += slices) all.push_back(cases[i]);
  for (const std::size_t count = all.size() + drawn; all.size() < count;) {
    Case c = random_case();
    const bool narrow = conv_mma::is_narrow(c.shape.input);
    c.shape.statistics = c.pool == 1 && between(0, 1) == 1;
    c.shape.normalised = !narrow && between(0, 1) == 1;
    c.shape.gradient_sums = c.shape.normalised && between(0, 1) == 1;
    c.shape.norm_gradient = c.pool == 1 && narrow && between(0, 1) == 1;
    if (!Conv2dMma::fits(c.shape)) continue;
    const std::vector<Case> cuts = warp::other_cuts(c);
    if (const int cut = between(0, static_cast<int>(cuts.size())); cut > 0)
      c = cuts[static_cast<std::size_t>(cut - 1)];
    all.push_back(c);
  }
  if (!device().takes(opencl::InstructionSet::wgmma))
    std::erase_if(all, [](const Case& c) { return c.kernels.by_warpgroup(); });
  for (const Case& c : all) {
    const auto& e = c.extents;
    SCOPED_TRACE(fmt::format("batch {}, {}x{}x{} -> {}, kernel {}, padding {}, pool {}, {}",
                             e.batch, e.in, e.height, e.width, e.out, e.kernel, e.padding, c.pool,
                             to_string(c.format)));
    DeviceRunner runner = runner_of(device(), c);
    testing::expect_twin(c, runner, random);
    if (c.shape.gradient_sums) testing::expect_gradient_sums(c, runner, random);
    if (c.shape.statistics) {
      for (const double mean : {0.0, 1000.0}) testing::expect_statistics(c, runner, random, mean);
    }
    if (conv_mma::is_narrow(c.shape.input)) testing::expect_images_are_inputs(c, runner, random);
  }
}

INSTANTIATE_TEST_SUITE_P(Slices, Conv2dMmaTest, ::testing::Range(0, slices));

// What --deterministic relies on where it chooses among them.
TEST_F(Conv2dMmaTest, CutsOfAKindGiveTheSameBits) {
  for (const auto& [e, format] :
       {std::pair(reference::Conv2dExtents{9, 64, 64, 16, 16, 3, 1, 1}, ComputeFormat::tf32),
        std::pair(reference::Conv2dExtents{5, 48, 128, 8, 16, 3, 1, 1}, ComputeFormat::bf16),
        std::pair(reference::Conv2dExtents{3, 80, 136, 8, 24, 5, 1, 2}, ComputeFormat::fp16)}) {
    Case c = warp::make_case(e, 1, format, false, 0);
    c.shape.normalised = format == ComputeFormat::tf32;
    std::vector<Case> cuts = warp::other_cuts(c);
    cuts.push_back(c);
    if (!device().takes(opencl::InstructionSet::wgmma))
      std::erase_if(cuts, [](const Case& each) { return each.kernels.by_warpgroup(); });
    testing::expect_one_order(cuts, static_cast<unsigned>(between(0, 1 << 30)),
                              [&](std::size_t i) { return runner_of(device(), cuts[i]); });
  }
}

TEST_F(Conv2dMmaTest, GivesTheSameBitsTwice) {
  testing::Random random(1);
  const Case c = warp::cases()[1];
  const auto floats = [&](std::size_t count) { return testing::to_float(random.normal(count)); };
  const std::vector<float> x = floats(c.shape.input.size()), dy = floats(c.shape.output.size());
  DeviceRunner runner = runner_of(device(), c);
  runner.forward(x, floats(static_cast<std::size_t>(9 * 32 * 64)), floats(64));
  EXPECT_EQ(runner.weight_gradient(x, dy).weight, runner.weight_gradient(x, dy).weight);
}

}  // namespace
}  // namespace dovetail
