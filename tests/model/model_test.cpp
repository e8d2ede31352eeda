// Shapes, names, parameters and initial values of models.
#include "model/model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/optimizer.hpp"
#include "model/zoo.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

std::vector<std::string> describe(const Model& model) {
  std::vector<std::string> lines;
  for (const ParameterSpec& spec : model.parameters())
    lines.push_back(spec.name + " " + to_string(spec.shape));
  return lines;
}

TEST(Model, CnnHasTheShapesOfItsDescription) {
  const Model model = make_model("cnn", {1, 28, 28}, 10);
  EXPECT_EQ(describe(model),
            (std::vector<std::string>{"conv1.weight [32, 1, 3, 3]", "conv1.bias [32]",
                                      "conv2.weight [64, 32, 3, 3]", "conv2.bias [64]",
                                      "dense1.weight [128, 3136]", "dense1.bias [128]",
                                      "dense2.weight [10, 128]", "dense2.bias [10]"}));
  EXPECT_EQ(model.classes(), 10);
  EXPECT_EQ(model.parameter_count(), 421642u);
}

TEST(Model, MlpHasTheShapesOfItsDescription) {
  const Model model = make_model("mlp", {1, 28, 28}, 10);
  EXPECT_EQ(describe(model),
            (std::vector<std::string>{"dense1.weight [256, 784]", "dense1.bias [256]",
                                      "dense2.weight [128, 256]", "dense2.bias [128]",
                                      "dense3.weight [10, 128]", "dense3.bias [10]"}));
}

TEST(Model, SfcHasTheShapesOfItsDescription) {
  const Model model = make_model("sfc", {1, 28, 28}, 10);
  EXPECT_EQ(describe(model),
            (std::vector<std::string>{
                "dense1.weight [256, 784]", "norm1.weight [256]", "norm1.bias [256]",
                "dense2.weight [256, 256]", "norm2.weight [256]", "norm2.bias [256]",
                "dense3.weight [256, 256]", "norm3.weight [256]", "norm3.bias [256]",
                "dense4.weight [10, 256]", "dense4.bias [10]"}));
  EXPECT_EQ(make_model("lfc", {1, 28, 28}, 10).layers()[3].out, (FeatureShape{1024, 1, 1}));
}

std::vector<FeatureShape> outputs_with_weights(const Model& model) {
  std::vector<FeatureShape> shapes;
  for (const PlacedLayer& placed : model.layers()) {
    if (placed.name.starts_with("conv") || placed.name.starts_with("dense"))
      shapes.push_back(placed.out);
  }
  return shapes;
}

TEST(Model, CnvHasTheShapesOfItsDescription) {
  const Model model = make_model("cnv", {3, 32, 32}, 10);
  EXPECT_EQ(outputs_with_weights(model), (std::vector<FeatureShape>{{64, 30, 30},
                                                                    {64, 28, 28},
                                                                    {128, 12, 12},
                                                                    {128, 10, 10},
                                                                    {256, 3, 3},
                                                                    {256, 1, 1},
                                                                    {512, 1, 1},
                                                                    {512, 1, 1},
                                                                    {10, 1, 1}}));
  std::size_t weights = 0;
  for (const ParameterSpec& spec : model.parameters())
    if (spec.shape.size() > 1) weights += volume(spec.shape);
  EXPECT_EQ(weights, 1542848u);  // as FINN's CNV
}

TEST(Model, VggSmallHasTheShapesOfItsDescription) {
  const Model model = make_model("vgg-small", {3, 32, 32}, 10);
  EXPECT_EQ(outputs_with_weights(model), (std::vector<FeatureShape>{{64, 32, 32},
                                                                    {64, 32, 32},
                                                                    {128, 16, 16},
                                                                    {128, 16, 16},
                                                                    {256, 8, 8},
                                                                    {256, 8, 8},
                                                                    {512, 1, 1},
                                                                    {10, 1, 1}}));
  EXPECT_EQ(model.statistics().size(), 12u);
}

TEST(Model, InputAndClassesComeFromTheDataSet) {
  const Model model = make_model("cnn", {3, 32, 32}, 100);
  EXPECT_EQ(describe(model).front(), "conv1.weight [32, 3, 3, 3]");
  EXPECT_EQ(describe(model)[4], "dense1.weight [128, 4096]");
  EXPECT_EQ(model.classes(), 100);
}

TEST(Model, ConvolutionsAndPoolsSlideAsInPyTorch) {
  using namespace layer;
  const Model model("odd", {2, 11, 9},
                    {Conv2d{.out = 4, .kernel = 5, .stride = 2, .padding = 1}, BatchNorm{},
                     AveragePool{.kernel = 3, .stride = 1}, Dense{.out = 3}});
  EXPECT_EQ(model.layers()[0].out, (FeatureShape{4, 5, 4}));
  EXPECT_EQ(model.layers()[2].out, (FeatureShape{4, 3, 2}));
  EXPECT_EQ(describe(model)[2], "norm1.weight [4]");
  ASSERT_EQ(model.statistics().size(), 2u);
  EXPECT_EQ(model.statistics()[1].name, "norm1.running_var");
}

TEST(Model, RefusesImagesThatAreTooSmall) {
  try {
    make_model("cnn", {1, 3, 3}, 10);
    FAIL() << "a 2x2 window does not fit a feature map of 1x1";
  } catch (const UsageError& failure) {
    EXPECT_NE(std::string(failure.what()).find("2x2 window does not fit feature maps of 1x1"),
              std::string::npos)
        << failure.what();
  }
}

TEST(Model, RefusesWeightsThatKernelsCannotIndex) {
  const auto refused = [](FeatureShape input, const Layer& layer, const std::string& weight) {
    try {
      const Model model("wide", input, {layer});
      ADD_FAILURE() << weight << " was taken";
    } catch (const UsageError& failure) {
      EXPECT_NE(std::string(failure.what()).find(weight + ", has 2^31 elements or more"),
                std::string::npos)
          << failure.what();
    }
  };
  refused({32, 2048, 2048}, layer::Dense{.out = 16}, "dense1.weight, 16 x 32 x 2048 x 2048");
  refused({64, 8192, 8192}, layer::Dense{.out = 10}, "dense1.weight, 10 x 64 x 8192 x 8192");
  refused({1 << 14, 3, 3}, layer::Conv2d{.out = 1 << 14}, "conv1.weight, 16384 x 16384 x 3 x 3");
  refused({1 << 30, 1, 1}, layer::Conv2d{.out = 1 << 30, .kernel = 1}, "1073741824 x 1 x 1");
  const Model most("wide", {32, 2048, 2048}, {layer::Dense{.out = 15}});
  EXPECT_EQ(most.parameter_count(), 15 * ((std::size_t{1} << 27) + 1));
}

TEST(Model, UnknownNameListsTheKnownOnes) {
  try {
    make_model("resnet", {1, 28, 28}, 10);
    FAIL();
  } catch (const UsageError& failure) {
    EXPECT_STREQ(failure.what(),
                 "unknown model 'resnet'. Known models: mlp, cnn, sfc, lfc, cnv, vgg-small");
  }
}

TEST(Model, QuantisedActivationsHaveAStepUnlessTheyAreBinary) {
  const auto added = [](const char* format, StepKind steps) {
    const Model model = make_model("sfc", {1, 28, 28}, 10, Quantisation{format, steps});
    EXPECT_EQ(model.quantisation()->format, format);
    EXPECT_EQ(model.layers().size(), make_model("sfc", {1, 28, 28}, 10).layers().size());
    return std::pair(model.parameters().size() - 11, model.statistics().size() - 6);
  };
  using Counts = std::pair<std::size_t, std::size_t>;
  EXPECT_EQ(added("w1a1", StepKind::learned), Counts(0, 0));
  EXPECT_EQ(added("w2a2", StepKind::learned), Counts(3, 0));
  EXPECT_EQ(added("wta8", StepKind::fixed), Counts(0, 3));
  EXPECT_THROW(added("float16", StepKind::learned), UsageError);
  EXPECT_THROW(parse_step_kind("frozen"), UsageError);
}

TEST(Model, InitialValuesFollowTheSeedAndTheFanIn) {
  const Model model = make_model("cnn", {1, 28, 28}, 10);
  const auto first = model.initial_parameters(7);
  const auto again = model.initial_parameters(7);
  const auto other = model.initial_parameters(8);
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].value.values, again[i].value.values);
    EXPECT_NE(first[i].value.values, other[i].value.values);
  }
  const std::vector<float>& weight = first[2].value.values;  // conv2: fan-in 32 · 9
  const float bound = 1 / std::sqrt(288.0f);
  double sum = 0, squares = 0;
  for (const float value : weight) {
    EXPECT_LE(std::abs(value), bound);
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const auto count = static_cast<double>(weight.size());
  EXPECT_NEAR(sum / count, 0, 0.002);
  EXPECT_NEAR(squares / count, bound * bound / 3, 0.03 * bound * bound);
}

TEST(Optimizer, NamesAreParsedAndUnknownOnesRefused) {
  EXPECT_EQ(parse_optimizer("adamw"), OptimizerKind::adamw);
  EXPECT_EQ(parse_loss("mse"), LossKind::mean_squared_error);
  EXPECT_THROW(parse_optimizer("lion"), UsageError);
  EXPECT_THROW(parse_loss("hinge"), UsageError);
}

}  // namespace
}  // namespace dovetail
