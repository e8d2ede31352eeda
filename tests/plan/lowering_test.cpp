// Which layers fuse, and the halos between them.
#include "plan/lowering.hpp"

#include <gtest/gtest.h>

#include "model/zoo.hpp"
#include "support/error.hpp"

namespace dovetail::plan {
namespace {

using namespace layer;

TEST(Lowering, CnnFusesItsRelusAndGivesConvolutionsTheirBorders) {
  const Lowered lowered = lower(make_model("cnn", {1, 28, 28}, 10), 4);
  ASSERT_EQ(lowered.steps.size(), 6u);  // conv, pool, conv, pool, dense, dense
  EXPECT_TRUE(lowered.steps[0].relu);
  EXPECT_TRUE(lowered.steps[2].relu);
  EXPECT_TRUE(lowered.steps[4].relu);
  EXPECT_FALSE(lowered.steps[5].relu);
  std::vector<int> halos;
  for (const Layout& layout : lowered.layouts) halos.push_back(layout.halo);
  // The first convolution's output needs no border: nothing flows back through it. The second's
  // needs one.
  EXPECT_EQ(halos, (std::vector<int>{1, 0, 1, 1, 0, 0, 0}));
  EXPECT_EQ(lowered.layouts.front().channel_stride, 1);
  EXPECT_EQ(lowered.layouts.back().channel_stride, 16);
}

TEST(Lowering, ALastReluStaysOnItsOwn) {
  const Lowered lowered = lower(Model("m", {1, 4, 4}, {Dense{.out = 3}, Relu{}}), 1);
  ASSERT_EQ(lowered.steps.size(), 2u);
  EXPECT_FALSE(lowered.steps[0].relu);
}

TEST(Lowering, ADenseLayerBehindAConvolutionGetsItsInputWithoutBorder) {
  const Model model(
      "m", {1, 6, 6},
      {Conv2d{.out = 4, .padding = 1}, Conv2d{.out = 4, .padding = 1}, Dense{.out = 3}});
  const Lowered lowered = lower(model, 1);
  ASSERT_EQ(lowered.steps.size(), 4u);
  EXPECT_TRUE(lowered.steps[2].strip_halo);
  EXPECT_EQ(lowered.layouts[2].halo, 1);
  EXPECT_EQ(lowered.layouts[3].halo, 0);
}

TEST(Lowering, ElementwiseLayersShareTheirNeighboursBorders) {
  const Model model("m", {1, 6, 6},
                    {Conv2d{.out = 4, .padding = 1}, BatchNorm{}, Dropout{},
                     Conv2d{.out = 4, .kernel = 5, .padding = 2}, MaxPool{}, Dense{.out = 3}});
  const Lowered lowered = lower(model, 1);
  EXPECT_EQ(lowered.layouts[1].halo, 2);
  EXPECT_EQ(lowered.layouts[2].halo, 2);
  EXPECT_EQ(lowered.layouts[3].halo, 2);
}

TEST(Lowering, FusesPoolsWhoseReadersMaskTheGradient) {
  const Lowered lowered =
      lower(make_model("cnn", {1, 28, 28}, 10), 4, {.fits_pool = Conv2dPool::fits});
  ASSERT_EQ(lowered.steps.size(), 4u);  // conv and pool, conv and pool, dense, dense
  EXPECT_TRUE(lowered.steps[0].relu && lowered.steps[0].pool);
  EXPECT_EQ(lowered.steps[0].last_layer(), 2u);
  EXPECT_FALSE(lowered.steps[2].pool);
  std::vector<int> halos;
  for (const Layout& layout : lowered.layouts) halos.push_back(layout.halo);
  // The second convolution's gradient is scattered: its output needs no border.
  EXPECT_EQ(halos, (std::vector<int>{1, 1, 0, 0, 0}));
  EXPECT_EQ(lowered.layouts[1].height, 14);

  const auto pools = [](std::vector<Layer> behind) {
    std::vector<Layer> layers{Conv2d{.out = 4, .padding = 1}};
    layers.insert(layers.end(), behind.begin(), behind.end());
    return lower(Model("m", {1, 6, 6}, layers), 1, {.fits_pool = Conv2dPool::fits})
        .steps.front()
        .pool;
  };
  EXPECT_TRUE(pools({MaxPool{}, Dense{.out = 3}}));
  EXPECT_TRUE(pools({Relu{}, MaxPool{}, Dense{.out = 3}}));
  EXPECT_FALSE(pools({Relu{}, MaxPool{}}));  // the loss does not mask
  EXPECT_FALSE(pools({BatchNorm{}, MaxPool{}, Dense{.out = 3}}));
  EXPECT_FALSE(pools({MaxPool{.kernel = 3, .stride = 2}, Dense{.out = 3}}));  // they overlap
  EXPECT_FALSE(pools({AveragePool{}, Dense{.out = 3}}));
}

TEST(Lowering, FusesTheBatchNormsPools) {
  const auto lowered = [](std::vector<Layer> behind) {
    std::vector<Layer> layers{Conv2d{.out = 4, .padding = 1}, Conv2d{.out = 4, .padding = 1},
                              BatchNorm{}};
    layers.insert(layers.end(), behind.begin(), behind.end());
    return lower(Model("m", {1, 6, 6}, layers), 1, {.norm_pools = true});
  };
  const auto pools = [&](const std::vector<Layer>& behind) {
    return lowered(behind).steps[2].pool;
  };
  EXPECT_TRUE(pools({Relu{}, MaxPool{}, Dense{.out = 3}}));
  EXPECT_TRUE(pools({MaxPool{}, Dense{.out = 3}}));
  EXPECT_FALSE(pools({Relu{}, MaxPool{}}));
  EXPECT_FALSE(pools({Relu{}, Dense{.out = 3}}));
  EXPECT_FALSE(pools({Relu{}, MaxPool{.kernel = 3, .stride = 2}, Dense{.out = 3}}));
  EXPECT_FALSE(pools({Relu{}, AveragePool{}, Dense{.out = 3}}));
  // The convolution's gradient is gathered, which needs a border before the pool, none behind it.
  const Lowered made = lowered({Relu{}, MaxPool{}, Dense{.out = 3}});
  EXPECT_EQ(made.layouts[2].halo, 1);
  EXPECT_EQ(made.layouts[3].halo, 0);
  EXPECT_EQ(made.layouts[3].height, 3);
}

TEST(Lowering, LeavesBatchNormsToConvolutionsThatReadThroughThem) {
  const auto deferred = [](std::vector<Layer> behind, bool fits = true) {
    std::vector<Layer> layers{Conv2d{.out = 4, .padding = 1}};
    layers.insert(layers.end(), behind.begin(), behind.end());
    const Fusion fusion{.norm_pools = true, .reads_norm = [fits](const Conv2dPoolShape& shape) {
                          EXPECT_TRUE(shape.normalised);
                          EXPECT_EQ(shape.input.channels, 4);
                          return fits;
                        }};
    return lower(Model("m", {1, 6, 6}, layers), 1, fusion).steps[1].deferred;
  };
  const Conv2d conv{.out = 3, .padding = 1};
  EXPECT_TRUE(deferred({BatchNorm{}, Relu{}, conv}));
  EXPECT_FALSE(deferred({BatchNorm{}, Relu{}, conv}, false));
  EXPECT_FALSE(deferred({BatchNorm{}, conv}));
  EXPECT_FALSE(deferred({Relu{}, BatchNorm{}, Dropout{}, conv}));
  EXPECT_FALSE(deferred({BatchNorm{}, Relu{}, MaxPool{}, conv}));
  EXPECT_FALSE(deferred({BatchNorm{}, Relu{}, Dense{.out = 3}}));
}

TEST(Lowering, RefusesAModelThatBeginsElsewhere) {
  EXPECT_THROW(lower(Model("m", {1, 6, 6}, {MaxPool{}, Dense{.out = 3}}), 1), UsageError);
}

}  // namespace
}  // namespace dovetail::plan
