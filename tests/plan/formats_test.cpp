// Plans in other compute formats, and loss scaling.
#include <gtest/gtest.h>

#include <cmath>

#include "plan/fixture.hpp"
#include "plan/gradient.hpp"
#include "plan/plan.hpp"

namespace dovetail {
namespace {

using namespace testing;

Plan make_plan(const Model& model, ComputeFormat format) {
  return started_plan(model, {.batch = 8, .training = true, .seed = 5, .format = format});
}

std::vector<float> gradients_of(Plan& plan, const RandomBatch& batch,
                                std::span<const float> weights = {}) {
  plan.enqueue_gradients(batch.images, batch.labels, 0, weights);
  return plan.gradients(plan.map_reduction().as<float>());
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference / norm);
}

// Rounding operands to 10 bits of fraction moves a product by some 3e-4, to 7 bits by 8 times that;
// a few products follow each other.
TEST(PlanFormats, GradientsDifferFromFloat32sByTheirRounding) {
  const Model model = small_cnn();
  const RandomBatch batch = random_batch(model, 8, 3);
  Plan exact = make_plan(model, ComputeFormat::float32);
  EXPECT_FALSE(exact.emulates_format());
  const std::vector<float> expected = gradients_of(exact, batch);
  const std::vector<std::pair<ComputeFormat, double>> cases{
      {ComputeFormat::tf32, 1}, {ComputeFormat::fp16, 1}, {ComputeFormat::bf16, 8}};
  for (const auto& [format, times] : cases) {
    Plan plan = make_plan(model, format);
    EXPECT_TRUE(plan.emulates_format() || !test_device().is_cpu());
    const double moved = distance(gradients_of(plan, batch), expected);
    EXPECT_GT(moved, 5e-5 * times) << to_string(format);
    EXPECT_LT(moved, 5e-3 * times) << to_string(format);
  }
}

// A power of two changes no bit of a float32 within its range.
TEST(PlanFormats, ALossScaleIsTakenOutAgain) {
  const Model model = small_cnn();
  const RandomBatch batch = random_batch(model, 8, 3);
  Plan plain = make_plan(model, ComputeFormat::float32),
       scaled = make_plan(model, ComputeFormat::float32);
  scaled.set_loss_scale(1024);
  const std::vector<float> weights{1, 2, 0, 1, 0.5f, 3, 1, 1};
  EXPECT_EQ(gradients_of(scaled, batch), gradients_of(plain, batch));
  EXPECT_EQ(gradients_of(scaled, batch, weights), gradients_of(plain, batch, weights));

  const auto step = [&](Plan& plan) {
    plan.enqueue_gradients(batch.images, batch.labels, 0);
    StepStatistics statistics;
    {
      const opencl::Mapping mapping = plan.map_reduction();
      const std::vector<float> ones(plan.gradients(mapping.as<float>()).size(), 0.5f);
      plan.add_gradients(mapping.as<float>(), ones, {.samples = 2}, 1);
      statistics = plan.step_statistics(mapping.as<float>());
    }
    EXPECT_GT(statistics.loss_sum, 0);
    plan.enqueue_update(0.1f, statistics, 1);
    return plan.parameters();
  };
  const std::vector<Parameter> expected = step(plain), found = step(scaled);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(found[i].value.values, expected[i].value.values) << expected[i].name;
}

TEST(PlanFormats, AScaleBeyondFp16IsSeenInTheGradients) {
  const Model model = small_cnn();
  const RandomBatch batch = random_batch(model, 8, 3);
  Plan plan = make_plan(model, ComputeFormat::fp16);
  const auto finite_at = [&](float scale) {
    plan.set_loss_scale(scale);
    plan.enqueue_gradients(batch.images, batch.labels, 0);
    return Plan::all_finite(plan.map_reduction().as<float>().first(plan.gradient_elements()));
  };
  EXPECT_TRUE(finite_at(1));
  EXPECT_TRUE(finite_at(256));
  EXPECT_FALSE(finite_at(16777216));
  EXPECT_TRUE(finite_at(256)) << "an overflow should leave nothing behind";
}

// What loss scaling is for: gradients below 2^-24 are nothing in fp16.
TEST(PlanFormats, AScaleKeepsSmallGradients) {
  const Model model = small_cnn();
  const RandomBatch batch = random_batch(model, 8, 3);
  const std::vector<float> tiny(8, 1e-7f);
  Plan exact = make_plan(model, ComputeFormat::float32),
       plan = make_plan(model, ComputeFormat::fp16);
  const std::vector<float> expected = gradients_of(exact, batch, tiny);
  EXPECT_GT(distance(gradients_of(plan, batch, tiny), expected), 0.3);
  plan.set_loss_scale(65536);
  EXPECT_LT(distance(gradients_of(plan, batch, tiny), expected), 0.02);
}

}  // namespace
}  // namespace dovetail
