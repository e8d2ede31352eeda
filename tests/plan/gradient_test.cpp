// Whole-model gradients of plans against float64 central finite differences of the twins.
#include "plan/gradient.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "plan/fixture.hpp"
#include "plan/plan.hpp"
#include "plan/reference_model.hpp"

namespace dovetail {
namespace {

using namespace testing;

struct Case {
  const char* name;
  Variant variant;
  LossKind loss;
  Model (*model)();
};

class PlanGradient : public ::testing::TestWithParam<Case> {};

TEST_P(PlanGradient, AgreesWithFiniteDifferences) {
  const std::uint64_t seed =
      20240 + static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed());
  SCOPED_TRACE(seed);
  const Model model = GetParam().model();
  const InputStatistics input = statistics_for(model);
  const std::size_t samples = 3;
  Plan plan(test_device(), model, input,
            {.batch = 4,
             .training = true,
             .loss = GetParam().loss,
             .optimizer = {.momentum = 0},
             .variant = GetParam().variant,
             .norms_as_read = GetParam().variant == Variant::gpu});
  const RandomBatch batch = random_batch(model, samples, seed);
  const std::vector<Parameter> start = model.initial_parameters(seed);
  const std::vector<Parameter> gradient = gradient_of(plan, batch, start);

  ParameterMap parameters = to_map(start);
  SplitMix64 random(seed);
  for (const Parameter& g : gradient) {
    Values& values = parameters.at(g.name);
    float largest = 0;
    for (const float value : g.value.values) largest = std::max(largest, std::abs(value));
    // The gradient comes out of float32 parameters, a step of 1 apart: its error is that of values
    // near 1.
    const double tolerance = 1e-4 * static_cast<double>(largest) + 2e-6;
    int compared = 0;
    for (int trial = 0; trial < 25 && compared < 5; ++trial) {
      const std::size_t i = random.next() % values.size();
      const double saved = values[i], step = 1e-6;
      const auto loss_at = [&](double value) {
        values[i] = value;
        return loss_sum(model, parameters, input, batch.images, batch.labels, GetParam().loss) /
               samples;
      };
      const double here = loss_at(saved);
      const double above = (loss_at(saved + step) - here) / step;
      const double below = (here - loss_at(saved - step)) / step;
      values[i] = saved;
      // A ReLU or a max-pool decides within the step: there is no derivative to compare with.
      if (std::abs(above - below) > tolerance) continue;
      ++compared;
      EXPECT_NEAR(g.value.values[i], (above + below) / 2, tolerance) << g.name << " " << i;
    }
    EXPECT_EQ(compared, 5) << g.name << ": decisions hang on nearly all of its parameters";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, PlanGradient,
    ::testing::Values(
        Case{"mixed_cpu", Variant::cpu, LossKind::cross_entropy, mixed_model},
        Case{"mixed_gpu", Variant::gpu, LossKind::cross_entropy, mixed_model},
        Case{"normalised_cpu", Variant::cpu, LossKind::cross_entropy, normalised_model},
        Case{"normalised_gpu", Variant::gpu, LossKind::cross_entropy, normalised_model},
        Case{"pooled_cpu", Variant::cpu, LossKind::cross_entropy, pooled_model},
        Case{"pooled_gpu", Variant::gpu, LossKind::cross_entropy, pooled_model},
        Case{"blocks_cpu", Variant::cpu, LossKind::cross_entropy, block_model},
        Case{"blocks_gpu", Variant::gpu, LossKind::cross_entropy, block_model},
        Case{"small_cpu_mse", Variant::cpu, LossKind::mean_squared_error, small_cnn},
        Case{"small_gpu_mse", Variant::gpu, LossKind::mean_squared_error, small_cnn}),
    [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace dovetail
