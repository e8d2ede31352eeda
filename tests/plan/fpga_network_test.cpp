// A model in the FPGA side's terms.
#include "plan/fpga_network.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "plan/fixture.hpp"
#include "support/error.hpp"

namespace dovetail::plan {
namespace {

using namespace dovetail::testing;

TEST(FpgaNetwork, JoinsRelusAndKeepsCanonicalWeights) {
  const Model model = small_cnn();
  const auto parameters = model.initial_parameters(3);
  Plan::Ranges ranges{1.5f, std::vector<float>(model.layers().size(), 0.0f)};
  ranges.layers[1] = 2;
  ranges.layers[8] = 7;
  const quant::Network network = fpga_network(model, parameters, {}, statistics_for(model), ranges);
  ASSERT_EQ(network.layers.size(), 6u);
  EXPECT_EQ(network.layers[0].name, "conv1");
  EXPECT_EQ(network.layers[0].activation, quant::Activation::relu);
  EXPECT_EQ(network.layers[0].weight, parameters[0].value.values);
  EXPECT_EQ(network.layers[0].output_range, 2);
  EXPECT_EQ(network.layers[1].kind, quant::LayerKind::max_pool);
  EXPECT_EQ(network.layers[5].activation, quant::Activation::none);
  EXPECT_EQ(network.layers[5].output_range, 7);
  EXPECT_EQ(network.classes, 10);
  EXPECT_EQ(network.input_range, 1.5f);
}

TEST(FpgaNetwork, KeepsABatchNormBesideTheLayerBefore) {
  const Model model("m", {1, 1, 1},
                    {layer::Conv2d{.out = 1, .kernel = 1}, layer::BatchNorm{.epsilon = 0.5f},
                     layer::Relu{}, layer::Dense{.out = 2}});
  auto parameters = model.initial_parameters(3);
  parameters[0].value.values = {3};  // convolution's weight and bias
  parameters[1].value.values = {1};
  parameters[2].value.values = {2};  // gamma, beta
  parameters[3].value.values = {0.25f};
  auto statistics = model.initial_statistics();
  statistics[0].value.values = {-1};  // mean, variance
  statistics[1].value.values = {3.5f};
  const Plan::Ranges ranges{1, std::vector<float>(4, 1.0f)};
  const quant::Network network = fpga_network(model, parameters, statistics, {{0}, {1}}, ranges);
  ASSERT_EQ(network.layers.size(), 2u);
  const quant::Layer& layer = network.layers[0];
  EXPECT_EQ(layer.weight[0], 3);
  EXPECT_EQ(layer.bias[0], 1);
  const float x = 0.7f, normalised = (3 * x + 1 + 1) / std::sqrt(4.0f) * 2 + 0.25f;
  EXPECT_FLOAT_EQ(layer.gain[0] * (layer.weight[0] * x + layer.bias[0]) + layer.offset[0],
                  normalised);
  EXPECT_EQ(network.layers[0].activation, quant::Activation::relu);
}

TEST(FpgaNetwork, SaysWhatTheKernelsDoNotHave) {
  const Model model("m", {1, 4, 4},
                    {layer::Conv2d{.out = 2}, layer::AveragePool{}, layer::Dense{.out = 2}});
  const Plan::Ranges ranges{1, std::vector<float>(3, 1.0f)};
  EXPECT_THROW(fpga_network(model, model.initial_parameters(1), {}, {{0}, {1}}, ranges),
               UsageError);
}

}  // namespace
}  // namespace dovetail::plan
