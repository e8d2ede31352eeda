// Batch norms taken into weights and biases: which, to what values, and which are left.
#include "model/folded.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "model/random_norms.hpp"
#include "model/zoo.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using testing::with_random_norms;

std::uint64_t folding_seed() {
  return 811 + static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed());
}

TrainedModel folded(const TrainedModel& net) {
  return dovetail::folded(net.model, net.parameters, net.statistics);
}

std::map<std::string, std::vector<float>> by_name(const std::vector<Parameter>& parameters) {
  std::map<std::string, std::vector<float>> map;
  for (const Parameter& parameter : parameters) map[parameter.name] = parameter.value.values;
  return map;
}

std::vector<std::string> names_of(const std::vector<Parameter>& parameters) {
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters) names.push_back(parameter.name);
  return names;
}

std::size_t norms_in(const Model& model) {
  std::size_t count = 0;
  for (const PlacedLayer& placed : model.layers())
    count += std::holds_alternative<layer::BatchNorm>(placed.layer);
  return count;
}

void expect_same(const TrainedModel& actual, const TrainedModel& expected) {
  EXPECT_EQ(actual.model.layers().size(), expected.model.layers().size());
  EXPECT_EQ(norms_in(actual.model), norms_in(expected.model));
  EXPECT_EQ(actual.model.quantisation(), expected.model.quantisation());
  EXPECT_EQ(names_of(actual.parameters), names_of(expected.parameters));
  EXPECT_EQ(by_name(actual.parameters), by_name(expected.parameters));
  EXPECT_EQ(names_of(actual.statistics), names_of(expected.statistics));
  EXPECT_EQ(by_name(actual.statistics), by_name(expected.statistics));
}

/// The parameters that a network asks for, in its order and its shapes.
void expect_fit(const TrainedModel& net) {
  ASSERT_EQ(net.parameters.size(), net.model.parameters().size());
  for (std::size_t i = 0; i < net.parameters.size(); ++i) {
    EXPECT_EQ(net.parameters[i].name, net.model.parameters()[i].name);
    EXPECT_EQ(net.parameters[i].value.shape, net.model.parameters()[i].shape);
  }
  ASSERT_EQ(net.statistics.size(), net.model.statistics().size());
  for (std::size_t i = 0; i < net.statistics.size(); ++i)
    EXPECT_EQ(net.statistics[i].name, net.model.statistics()[i].name);
}

/// `linear` of two layers, with a batch norm between: the only one of the network.
void expect_scaled(const Model& model, const std::string& linear, double epsilon) {
  const TrainedModel net = with_random_norms(model, folding_seed()), plain = folded(net);
  EXPECT_EQ(norms_in(plain.model), 0u);
  expect_fit(plain);
  auto before = by_name(net.parameters), after = by_name(plain.parameters);
  auto seen = by_name(net.statistics);
  const auto& weight = before.at(linear + ".weight");
  const std::size_t outputs = before.at("norm1.weight").size(), columns = weight.size() / outputs;
  for (std::size_t o = 0; o < outputs; ++o) {
    const double root = std::sqrt(double(seen.at("norm1.running_var")[o]) + epsilon);
    const double gain = double(before.at("norm1.weight")[o]) / root;
    for (std::size_t i = o * columns; i < (o + 1) * columns; ++i)
      EXPECT_FLOAT_EQ(after.at(linear + ".weight")[i], float(double(weight[i]) * gain));
    const double bias = before.count(linear + ".bias") ? double(before.at(linear + ".bias")[o]) : 0;
    const double shifted = (bias - double(seen.at("norm1.running_mean")[o])) * gain;
    EXPECT_NEAR(after.at(linear + ".bias")[o], shifted + double(before.at("norm1.bias")[o]),
                1e-6 * (1 + std::abs(shifted)));
  }
  EXPECT_EQ(after.at("dense2.weight"), before.at("dense2.weight"));
  EXPECT_EQ(after.at("dense2.bias"), before.at("dense2.bias"));
}

TEST(Folded, ScalesWeightsAndShiftsBiases) {
  SCOPED_TRACE(folding_seed());
  for (const bool bias : {false, true}) {
    expect_scaled(Model("dense", {2, 3, 4},
                        {layer::Dense{.out = 7, .bias = bias}, layer::BatchNorm{.epsilon = 0.2f},
                         layer::Relu{}, layer::Dense{.out = 3}}),
                  "dense1", 0.2f);
    expect_scaled(Model("conv", {2, 3, 4},
                        {layer::Conv2d{.out = 5, .kernel = 2, .bias = bias}, layer::BatchNorm{},
                         layer::Dense{.out = 4}, layer::Relu{}, layer::Dense{.out = 3}}),
                  "conv1", 1e-5f);
  }
}

TEST(Folded, LeavesNoBatchNormInTheZoo) {
  for (const char* name : {"sfc", "lfc", "cnv", "vgg-small"}) {
    const Model model = make_model(name, {3, 32, 32}, 10);
    const TrainedModel plain =
        dovetail::folded(model, model.initial_parameters(1), model.initial_statistics());
    EXPECT_EQ(norms_in(plain.model), 0u) << name;
    EXPECT_EQ(plain.model.layers().size(), model.layers().size() - norms_in(model)) << name;
    EXPECT_EQ(plain.model.name(), name);
    expect_fit(plain);
  }
}

TEST(Folded, KeepsNormsThatStandElsewhereUnderNewNames) {
  const TrainedModel net = with_random_norms(
      Model("mixed", {2, 6, 6},
            {layer::Conv2d{.out = 5}, layer::BatchNorm{}, layer::BatchNorm{}, layer::Relu{},
             layer::BatchNorm{}, layer::MaxPool{}, layer::BatchNorm{}, layer::Dense{.out = 3}}),
      folding_seed());
  const TrainedModel plain = folded(net);
  expect_fit(plain);
  EXPECT_EQ(norms_in(plain.model), 2u);
  auto before = by_name(net.parameters), after = by_name(plain.parameters);
  auto seen = by_name(net.statistics), kept = by_name(plain.statistics);
  for (const auto& [old, now] : {std::pair("norm3", "norm1"), std::pair("norm4", "norm2")}) {
    for (const std::string part : {".weight", ".bias"})
      EXPECT_EQ(after.at(now + part), before.at(old + part)) << old << part;
    for (const std::string part : {".running_mean", ".running_var"})
      EXPECT_EQ(kept.at(now + part), seen.at(old + part)) << old << part;
  }
}

TEST(Folded, LeavesOthersAlone) {
  for (const Model& model :
       {make_model("cnn", {1, 12, 12}, 10), make_model("sfc", {1, 6, 6}, 10, Quantisation{"w1a1"}),
        make_model("vgg-small", {3, 8, 8}, 10, Quantisation{"w8a8", StepKind::fixed}),
        Model("by hand", {1, 4, 4},
              {layer::Dense{.out = 6, .quantised = numeric::WeightLaw{}}, layer::BatchNorm{},
               layer::Relu{}, layer::Dense{.out = 3}})}) {
    SCOPED_TRACE(model.name());
    const TrainedModel net = with_random_norms(model, folding_seed());
    expect_same(folded(net), net);
  }
}

TEST(Folded, RefusesValuesThatAreMissingOrOfAnotherSize) {
  const TrainedModel net = with_random_norms(make_model("sfc", {1, 6, 6}, 10), folding_seed());
  TrainedModel broken = net;
  broken.statistics.pop_back();
  EXPECT_THROW(folded(broken), Error);
  broken = net;
  broken.statistics[0].value.values.pop_back();
  EXPECT_THROW(folded(broken), Error);
  broken = net;
  broken.parameters[0].value = Tensor({4, 4});
  EXPECT_THROW(folded(broken), Error);
}

}  // namespace
}  // namespace dovetail
