// Plans of folded networks: the logits of the batch norms' own passes, and of float64.
#include "model/folded.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/random_norms.hpp"
#include "model/zoo.hpp"
#include "plan/fixture.hpp"
#include "plan/plan.hpp"
#include "plan/reference_model.hpp"

namespace dovetail {
namespace {

using namespace testing;

constexpr std::size_t samples = 5;
/// A dozen layers' roundings of float32, some hundred times over.
constexpr double tolerance = 2e-4;

/// vgg-small in little, where a batch norm also follows a dense layer and one has a bias before it.
Model little_vgg(bool pools) {
  std::vector<Layer> layers;
  for (const int channels : {12, 18}) {
    for (int i = 0; i < 2; ++i) {
      layers.insert(layers.end(),
                    {layer::Conv2d{.out = channels, .padding = 1, .bias = i > 0 && channels > 12},
                     layer::BatchNorm{.epsilon = i > 0 ? 0.1f : 1e-5f}, layer::Relu{}});
    }
    if (pools) layers.push_back(layer::MaxPool{});
  }
  layers.insert(layers.end(), {layer::Dense{.out = 20, .bias = false}, layer::BatchNorm{},
                               layer::Relu{}, layer::Dense{.out = 5}});
  return Model(pools ? "with pools" : "without pools", {3, 9, 10}, layers);
}

/// Batch norms that stay beside one that does not, and pools behind norms without a ReLU.
Model scattered_norms() {
  return Model(
      "scattered", {2, 9, 8},
      {layer::Conv2d{.out = 9, .padding = 1}, layer::BatchNorm{}, layer::MaxPool{},
       layer::BatchNorm{}, layer::Conv2d{.out = 17, .padding = 1}, layer::Relu{},
       layer::BatchNorm{}, layer::AveragePool{}, layer::Dense{.out = 4}, layer::BatchNorm{}});
}

std::vector<float> logits(const TrainedModel& net, const std::vector<std::uint8_t>& images,
                          Variant variant, std::vector<plan::Step>* steps = nullptr) {
  Plan plan(test_device(), net.model, statistics_for(net.model), {.batch = 4, .variant = variant});
  plan.load_parameters(net.parameters);
  plan.load_statistics(net.statistics);
  if (steps) *steps = plan.steps();
  return plan.infer(images, samples);
}

Values in_float64(const TrainedModel& net, const std::vector<std::uint8_t>& images) {
  const ParameterMap running = to_map(net.statistics);
  return forward(net.model, to_map(net.parameters), statistics_for(net.model), images, nullptr,
                 &running);
}

class FoldedPlan : public ::testing::TestWithParam<Variant> {};

TEST_P(FoldedPlan, GivesTheLogitsOfTheBatchNormsPasses) {
  for (const Model& model : {little_vgg(true), little_vgg(false), scattered_norms(), mixed_model(),
                             normalised_model(), make_model("vgg-small", {3, 8, 8}, 10)}) {
    const auto seed =
        900 + static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed());
    SCOPED_TRACE(fmt::format("{}, seed {}", model.name(), seed));
    const TrainedModel net = with_random_norms(model, seed);
    const RandomBatch batch = random_batch(model, samples, seed);
    const std::vector<float> own_passes = logits(net, batch.images, GetParam());
    const std::vector<float> actual =
        logits(folded(net.model, net.parameters, net.statistics), batch.images, GetParam());
    const Values expected = in_float64(net, batch.images);
    ASSERT_EQ(actual.size(), expected.size());
    double largest = 1;
    for (const double value : expected) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < actual.size(); ++i) {
      EXPECT_NEAR(actual[i], expected[i], tolerance * largest) << "logit " << i;
      EXPECT_NEAR(actual[i], own_passes[i], tolerance * largest) << "logit " << i;
    }
  }
}

TEST_P(FoldedPlan, IsThePlanItselfWhereNothingFolds) {
  for (const Model& model : {small_cnn(), pooled_model(),
                             convolutional_model().quantised({"w4a4", StepKind::learned})}) {
    SCOPED_TRACE(model.name());
    const TrainedModel net = with_random_norms(model, 17);
    const RandomBatch batch = random_batch(model, samples, 18);
    EXPECT_EQ(logits(folded(net.model, net.parameters, net.statistics), batch.images, GetParam()),
              logits(net, batch.images, GetParam()));
  }
}

TEST_P(FoldedPlan, FusesReluAndPoolAsWithoutBatchNorm) {
  const TrainedModel net = with_random_norms(little_vgg(true), 19);
  std::vector<plan::Step> steps;
  const RandomBatch batch = random_batch(net.model, samples, 20);
  logits(folded(net.model, net.parameters, net.statistics), batch.images, GetParam(), &steps);
  // Four convolutions and two dense layers.
  EXPECT_EQ(std::count_if(steps.begin(), steps.end(), [](const auto& step) { return step.pool; }),
            2);
  EXPECT_EQ(std::count_if(steps.begin(), steps.end(), [](const auto& step) { return step.relu; }),
            5);
}

// What its kernels made of the weights before is not theirs any more.
TEST_P(FoldedPlan, TakesOtherParameters) {
  for (const Model& model : {small_cnn(), little_vgg(false)}) {
    SCOPED_TRACE(model.name());
    const RandomBatch batch = random_batch(model, samples, 22);
    const auto net = [&](std::uint64_t seed) {
      const TrainedModel whole = with_random_norms(model, seed);
      return folded(whole.model, whole.parameters, whole.statistics);
    };
    Plan plan(test_device(), net(1).model, statistics_for(model),
              {.batch = 4, .variant = GetParam()});
    for (const std::uint64_t seed : {1, 2, 1}) {
      plan.load_parameters(net(seed).parameters);
      EXPECT_EQ(plan.infer(batch.images, samples), logits(net(seed), batch.images, GetParam()))
          << "seed " << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, FoldedPlan, ::testing::Values(Variant::cpu, Variant::gpu),
                         [](const auto& instance) { return to_string(instance.param); });

}  // namespace
}  // namespace dovetail
