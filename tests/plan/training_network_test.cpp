// A model in the terms of the training kernels.
#include "plan/training_network.hpp"

#include <gtest/gtest.h>

#include "model/zoo.hpp"
#include "quant/training_pack.hpp"
#include "support/error.hpp"

namespace dovetail::plan {
namespace {

InputStatistics statistics_of(const Model& model) {
  const auto channels = static_cast<std::size_t>(model.input().channels);
  return {std::vector<float>(channels, 0.3F), std::vector<float>(channels, 0.4F)};
}

TEST(TrainingNetwork, TakesTheZoosModelsInTheirParametersOrder) {
  for (const char* name : {"mlp", "cnn"}) {
    const Model model = make_model(name, {1, 28, 28}, 10);
    const auto parameters = model.initial_parameters(1);
    const quant::Network network = training_network(model, parameters, statistics_of(model));
    const auto opened = quant::parse_training(quant::pack_training(network, "int8", 3));
    ASSERT_EQ(opened.layers.size() * 2, parameters.size());
    for (std::size_t i = 0; i < opened.layers.size(); ++i) {
      EXPECT_EQ(opened.layers[i].name + ".weight", parameters[2 * i].name);
      EXPECT_EQ(opened.layers[i].codes.size(), parameters[2 * i].value.size());
      EXPECT_EQ(opened.layers[i].bias, parameters[2 * i + 1].value.values);
    }
  }
}

std::string refusal(const std::vector<Layer>& layers) {
  const Model model("m", {1, 8, 8}, layers);
  try {
    training_network(model, model.initial_parameters(1), statistics_of(model));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(TrainingNetwork, RefusesWhatTheKernelsCannotDifferentiate) {
  const auto with = [](const Layer& odd) {
    return refusal({layer::Conv2d{.out = 3, .padding = 1}, odd, layer::Dense{.out = 2}});
  };
  EXPECT_EQ(with(layer::Relu{}), "");
  EXPECT_NE(with(layer::BatchNorm{}).find("batch norm"), std::string::npos);
  EXPECT_NE(with(layer::Dropout{}).find("dropout"), std::string::npos);
  EXPECT_NE(with(layer::AveragePool{}).find("average pool"), std::string::npos);
  EXPECT_NE(with(layer::MaxPool{.kernel = 3, .stride = 2}).find("overlap"), std::string::npos);
}

}  // namespace
}  // namespace dovetail::plan
