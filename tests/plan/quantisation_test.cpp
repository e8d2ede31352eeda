// Quantisation-aware plans: gradients, steps, and the network that the FPGA side computes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "plan/fixture.hpp"
#include "plan/fpga_network.hpp"
#include "plan/gradient.hpp"
#include "plan/integer_network.hpp"
#include "plan/plan.hpp"
#include "plan/reference_model.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using namespace testing;

std::uint64_t seed() {
  return 5150 + static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed());
}

struct Case {
  const char* format;
  StepKind steps;
  Variant variant;
};

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  return fmt::format("{}_{}_{}", info.param.format, to_string(info.param.steps),
                     to_string(info.param.variant));
}

/// Initial parameters, and batch norms that are not neutral: sums over a lattice often meet their
/// mean exactly, where a shift of zero would leave the sign to rounding.
std::vector<Parameter> random_parameters(const Model& model, std::uint64_t start) {
  std::vector<Parameter> parameters = model.initial_parameters(start);
  SplitMix64 random(start + 1);
  for (Parameter& parameter : parameters) {
    if (!parameter.name.starts_with("norm")) continue;
    for (float& value : parameter.value.values) value += random.uniform(-0.3f, 0.3f);
  }
  return parameters;
}

class QuantisedPlan : public ::testing::TestWithParam<Case> {};

/// A batch, the parameters and the surrogate of a plan at a point where float32 and float64 round
/// alike: no value is within `margin` codes of a decision.
struct BasePoint {
  static constexpr double margin = 2e-5;
  RandomBatch batch;
  std::vector<Parameter> start;
  ParameterMap parameters;  // fixed steps among them
  Surrogate surrogate;

  double loss(const Plan& plan, const InputStatistics& input) {
    return loss_sum(plan.model(), parameters, input, batch.images, batch.labels,
                    LossKind::cross_entropy, &surrogate) /
           static_cast<double>(batch.labels.size());
  }
};

BasePoint find_base_point(Plan& plan, const InputStatistics& input, std::size_t samples) {
  for (std::uint64_t attempt = seed(); attempt < seed() + 200; ++attempt) {
    BasePoint point;
    point.batch = random_batch(plan.model(), samples, attempt);
    plan.load_parameters(random_parameters(plan.model(), attempt));
    plan.initialise_steps(point.batch.images, samples);
    point.start = plan.parameters();
    point.parameters = to_map(point.start);
    for (const auto& [name, values] : to_map(plan.statistics())) point.parameters[name] = values;
    point.loss(plan, input);
    if (point.surrogate.narrowest() > BasePoint::margin) return point;
  }
  throw std::runtime_error("every attempt hangs on rounding");
}

TEST_P(QuantisedPlan, GradientsAreThoseOfTheStraightThroughSurrogate) {
  SCOPED_TRACE(seed());
  const Model model = convolutional_model().quantised({GetParam().format, GetParam().steps});
  const InputStatistics input = statistics_for(model);
  const std::size_t samples = 3;
  Plan plan(
      test_device(), model, input,
      {.batch = 4, .training = true, .optimizer = {.momentum = 0}, .variant = GetParam().variant});
  BasePoint point = find_base_point(plan, input, samples);
  SplitMix64 random(seed());
  for (const Parameter& g : gradient_of(plan, point.batch, point.start)) {
    Values& values = point.parameters.at(g.name);
    float largest = 0;
    for (const float value : g.value.values) largest = std::max(largest, std::abs(value));
    for (int trial = 0; trial < 6; ++trial) {
      const std::size_t i = random.next() % values.size();
      const double saved = values[i], step = 1e-6;
      values[i] = saved + step;
      const double above = point.loss(plan, input);
      values[i] = saved - step;
      const double below = point.loss(plan, input);
      values[i] = saved;
      EXPECT_NEAR(g.value.values[i], (above - below) / (2 * step),
                  2e-4 * static_cast<double>(largest) + 2e-6)
          << g.name << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, QuantisedPlan,
                         ::testing::Values(Case{"w1a1", StepKind::learned, Variant::cpu},
                                           Case{"w1a1", StepKind::learned, Variant::gpu},
                                           Case{"wta2", StepKind::learned, Variant::cpu},
                                           Case{"w2a2", StepKind::fixed, Variant::gpu},
                                           Case{"w4a4", StepKind::learned, Variant::gpu},
                                           Case{"w8a8", StepKind::learned, Variant::cpu}),
                         name_of);

/// What the FPGA kernels can run: padded and valid convolutions, pools, batch norms here and there.
Model card_model() {
  return Model("card", {2, 12, 11},
               {layer::Conv2d{.out = 12, .padding = 1, .bias = false}, layer::BatchNorm{},
                layer::Relu{}, layer::MaxPool{}, layer::Conv2d{.out = 18, .padding = 1},
                layer::Relu{}, layer::Conv2d{.out = 16, .bias = false}, layer::BatchNorm{},
                layer::Relu{}, layer::Dense{.out = 24, .bias = false}, layer::BatchNorm{},
                layer::Relu{}, layer::Dense{.out = 6}});
}

/// Some steps on random samples, so that weights, steps and running statistics are used ones.
void train(Plan& plan, std::uint64_t start) {
  for (std::uint64_t number = 1; number <= 12; ++number) {
    const RandomBatch batch = random_batch(plan.model(), 16, start + number);
    plan.enqueue_gradients(batch.images, batch.labels, 0);
    StepStatistics statistics;
    {
      const opencl::Mapping mapping = plan.map_reduction();
      statistics = plan.step_statistics(mapping.as<float>());
      plan.update_running_statistics(mapping.as<float>(), statistics.samples);
    }
    plan.enqueue_update(0.01f, statistics, number);
  }
}

struct Compared {
  std::size_t images = 0;  // whose codes are all beyond doubt: only those can be compared
  std::size_t other = 0;   // of them, those of which plan and integers say other things
};

/// Trains a network and compares what its plan and its integers say of 200 images.
Compared compare_decided_images(const Case& which, std::uint64_t start) {
  const Model model = card_model().quantised({which.format, which.steps});
  const InputStatistics input = statistics_for(model);
  Plan plan(test_device(), model, input,
            {.batch = 16,
             .training = true,
             .optimizer = {.kind = OptimizerKind::adam},
             .variant = which.variant});
  plan.load_parameters(model.initial_parameters(start));
  plan.initialise_steps(random_batch(model, 16, start).images, 16);
  train(plan, start);

  const std::size_t samples = 200, classes = 6;
  const RandomBatch batch = random_batch(model, samples, start + 99);
  const quant::Network network =
      plan::fpga_network(model, plan.parameters(), plan.statistics(), input,
                         plan.output_ranges(batch.images, samples));
  const std::vector<float> logits = plan.infer(batch.images, samples);
  const int highest = std::max(1, numeric::parse_format(which.format).activations.highest);
  // An image parts where one of its values is so near a border of two codes that float32 and exact
  // arithmetic fall on two sides of it; sums of codes are few, so many images may share that value.
  const double margin = 5e-5;
  Compared compared;
  for (std::size_t n = 0; n < samples; ++n) {
    const IntegerResult exact = run_integers(
        network, &batch.images[n * static_cast<std::size_t>(model.input().size())], highest);
    if (exact.nearest_border < margin) continue;
    ++compared.images;
    bool is_same = true;
    for (std::size_t c = 0; c < classes; ++c) {
      const auto said = static_cast<double>(logits[n * classes + c]);
      is_same = is_same && std::abs(exact.logits[c] - said) <= 1e-4;
    }
    if (!is_same) ++compared.other;
  }
  return compared;
}

TEST_P(QuantisedPlan, TheIntegerNetworkPredictsWhatTrainingSaw) {
  SCOPED_TRACE(seed());
  Compared all;
  for (std::uint64_t attempt = 0; all.images < 100 && attempt < 20; ++attempt) {
    const Compared some = compare_decided_images(GetParam(), seed() + 1000 * attempt);
    all.images += some.images;
    all.other += some.other;
  }
  EXPECT_GE(all.images, 100u);
  // Where much cancels, float32 errs by more than the margin: with 8 bits one image in 10,000.
  EXPECT_LE(all.other, 2u) << "of " << all.images;
}

TEST(QuantisedPlanSteps, LearnedStepsMoveAndFixedOnesStay) {
  for (const StepKind kind : {StepKind::learned, StepKind::fixed}) {
    const Model model = card_model().quantised({"w2a2", kind});
    Plan plan(test_device(), model, statistics_for(model),
              {.batch = 16, .training = true, .optimizer = {.weight_decay = 0.1f}});
    plan.load_parameters(model.initial_parameters(1));
    plan.initialise_steps(random_batch(model, 16, 2).images, 16);
    const auto steps_of = [&] {
      std::map<std::string, float> steps;
      for (const auto& tensors : {plan.parameters(), plan.statistics()})
        for (const Parameter& tensor : tensors)
          if (tensor.name.ends_with(".step")) steps[tensor.name] = tensor.value.values[0];
      return steps;
    };
    const auto before = steps_of();
    ASSERT_EQ(before.size(), 4u);
    train(plan, 3);
    for (const auto& [name, value] : steps_of()) {
      EXPECT_GT(value, 0);
      if (kind == StepKind::learned) {
        EXPECT_NE(value, before.at(name)) << name;
      } else {
        EXPECT_EQ(value, before.at(name)) << name;
      }
    }
  }
}

TEST(QuantisedPlanSteps, FirstStepsFollowTheActivations) {
  // One dense layer of weight ±2 on an input of one pixel: its output is ± twice the input.
  const Model model =
      Model("m", {1, 1, 1}, {layer::Dense{.out = 2}, layer::Relu{}, layer::Dense{.out = 2}})
          .quantised({"w1a2", StepKind::learned});
  Plan plan(test_device(), model, {{0.0f}, {1.0f}}, {.batch = 2, .training = true});
  auto parameters = model.initial_parameters(1);
  parameters[0].value.values = {2, -2};
  parameters[1].value.values = {0, 0};
  plan.load_parameters(parameters);
  plan.initialise_steps(std::vector<std::uint8_t>{255, 255}, 2);
  // Half of the outputs are 2, the others negative: the mean of their positive parts is 1.
  EXPECT_NEAR(plan.parameters()[2].value.values[0], 2 / std::sqrt(3.0), 1e-5);
}

}  // namespace
}  // namespace dovetail
