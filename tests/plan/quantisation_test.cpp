// Quantisation-aware plans: gradients, steps, and the network that the FPGA side computes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "plan/fixture.hpp"
#include "plan/fpga_network.hpp"
#include "plan/gradient.hpp"
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

TEST_P(QuantisedPlan, GradientsAreThoseOfTheStraightThroughSurrogate) {
  SCOPED_TRACE(seed());
  const Model model = convolutional_model().quantised({GetParam().format, GetParam().steps});
  const InputStatistics input = statistics_for(model);
  const std::size_t samples = 3;
  Plan plan(
      test_device(), model, input,
      {.batch = 4, .training = true, .optimizer = {.momentum = 0}, .variant = GetParam().variant});
  const RandomBatch batch = random_batch(model, samples, seed());
  plan.load_parameters(random_parameters(model, seed()));
  plan.initialise_steps(batch.images, samples);
  const std::vector<Parameter> start = plan.parameters();
  const std::vector<Parameter> gradient = gradient_of(plan, batch, start);

  ParameterMap parameters = to_map(start);
  for (const auto& [name, values] : to_map(plan.statistics())) parameters[name] = values;
  Surrogate surrogate;
  const auto loss = [&] {
    return loss_sum(model, parameters, input, batch.images, batch.labels, LossKind::cross_entropy,
                    &surrogate) /
           samples;
  };
  loss();
  SplitMix64 random(seed());
  for (const Parameter& g : gradient) {
    Values& values = parameters.at(g.name);
    float largest = 0;
    for (const float value : g.value.values) largest = std::max(largest, std::abs(value));
    for (int trial = 0; trial < 6; ++trial) {
      const std::size_t i = random.next() % values.size();
      const double saved = values[i], step = 1e-6;
      values[i] = saved + step;
      const double above = loss();
      values[i] = saved - step;
      const double below = loss();
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

}  // namespace
}  // namespace dovetail
