// A plan that was given another capacity is the plan that it would have been from the start.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "model/zoo.hpp"
#include "plan/fixture.hpp"
#include "plan/plan.hpp"
#include "plan/tuner.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using namespace testing;

struct Case {
  const char* name;
  Model model;
  LossKind loss = LossKind::cross_entropy;
  std::optional<Variant> variant{};
};

std::vector<Case> cases() {
  std::vector<Case> all;
  all.push_back({"cnn", small_cnn()});
  all.push_back({"mixed", mixed_model(), LossKind::mean_squared_error});
  all.push_back({"normalised", normalised_model()});
  all.push_back({"blocks", block_model(), LossKind::cross_entropy, Variant::gpu});
  for (const StepKind steps : {StepKind::learned, StepKind::fixed}) {
    all.push_back(
        {steps == StepKind::learned ? "learned steps" : "fixed steps",
         make_model("sfc", {1, 6, 6}, 10, Quantisation{.format = "w4a4", .steps = steps})});
  }
  return all;
}

Plan make_plan(const Case& of, int batch) {
  return Plan(test_device(), of.model, statistics_for(of.model),
              {.batch = batch,
               .training = true,
               .loss = of.loss,
               .optimizer = {.kind = OptimizerKind::adam},
               .seed = 5,
               .variant = of.variant,
               .bucket_bytes = 1 << 12,
               .norms_as_read = of.variant == Variant::gpu});
}

/// One step, and its gradients.
std::vector<float> step(Plan& plan, const RandomBatch& batch, std::uint64_t number) {
  const std::size_t size = batch.labels.size();
  plan.enqueue_step({.images = batch.images, .labels = batch.labels}, std::span(&size, 1), true);
  for (std::size_t bucket = 0; bucket < plan.buckets().size(); ++bucket) plan.await_bucket(bucket);
  const std::span<float> sums = plan.reduction();
  std::vector<float> gradients(sums.begin(), sums.end());
  const StepStatistics statistics = plan.step_statistics(sums);
  plan.update_running_statistics(sums, statistics.normalised);
  for (std::size_t bucket = 0; bucket < plan.buckets().size(); ++bucket) plan.return_bucket(bucket);
  plan.enqueue_update(0.01f, statistics, number);
  return gradients;
}

void expect_same(const std::vector<Parameter>& actual, const std::vector<Parameter>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_EQ(actual[i].value.values, expected[i].value.values) << actual[i].name;
}

void expect_same_plan(Plan& actual, Plan& expected) {
  expect_same(actual.parameters(), expected.parameters());
  expect_same(actual.statistics(), expected.statistics());
  const auto states = actual.optimizer_state(), expected_states = expected.optimizer_state();
  for (std::size_t i = 0; i < states.size(); ++i) expect_same(states[i], expected_states[i]);
}

void start(Plan& plan, const Model& model, const RandomBatch& batch) {
  plan.load_parameters(model.initial_parameters(1));
  plan.load_statistics(model.initial_statistics());
  plan.initialise_steps(batch.images, batch.labels.size());
}

TEST(PlanCapacity, GrowsAndShrinksBetweenStepsWithoutAnotherBit) {
  std::mt19937 random(std::random_device{}());
  for (const Case& each : cases()) {
    SCOPED_TRACE(each.name);
    // Sums are cut by the capacity where it is small: both have 16 at least.
    Plan steady = make_plan(each, 40), changing = make_plan(each, 16);
    const RandomBatch first = random_batch(each.model, 16, random());
    start(steady, each.model, first);
    start(changing, each.model, first);
    const std::vector<std::size_t> capacities{16, 31, 20, 40};
    for (std::size_t i = 0; i < capacities.size(); ++i) {
      EXPECT_EQ(changing.set_capacity(capacities[i]), "");
      EXPECT_EQ(changing.capacity(), capacities[i]);
      const RandomBatch batch = random_batch(each.model, capacities[i] - random() % 3, random());
      EXPECT_EQ(step(changing, batch, i + 1), step(steady, batch, i + 1));
      EXPECT_EQ(changing.infer(first.images, first.labels.size()),
                steady.infer(first.images, first.labels.size()));
    }
    expect_same_plan(changing, steady);
  }
}

TEST(PlanCapacity, KeepsHeldImages) {
  const Case of{"cnn", small_cnn()};
  Plan plan = make_plan(of, 16), expected = make_plan(of, 24);
  const RandomBatch all = random_batch(of.model, 24, 77);
  start(plan, of.model, all.labels.size() > 16 ? random_batch(of.model, 16, 1) : all);
  start(expected, of.model, all);
  plan.hold_images(24);
  plan.write_images(0, all.images);
  EXPECT_EQ(plan.set_capacity(24), "");
  std::vector<std::int32_t> numbers(24);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::int32_t>(i);
  const std::size_t size = numbers.size();
  plan.enqueue_step({.numbers = numbers, .labels = all.labels}, std::span(&size, 1), false);
  expected.enqueue_step({.images = all.images, .labels = all.labels}, std::span(&size, 1), false);
  const opencl::Mapping held = plan.map_reduction(), given = expected.map_reduction();
  EXPECT_EQ(
      std::memcmp(held.as<float>().data(), given.as<float>().data(), held.as<float>().size_bytes()),
      0);
}

TEST(PlanCapacity, ARoomThatTheDeviceLacksLeavesThePlanAsItWas) {
  const Case of{"cnn", small_cnn()};
  Plan plan = make_plan(of, 16), expected = make_plan(of, 16);
  const RandomBatch batch = random_batch(of.model, 16, 78);
  start(plan, of.model, batch);
  start(expected, of.model, batch);
  EXPECT_EQ(step(plan, batch, 1), step(expected, batch, 1));
  EXPECT_NE(plan.set_capacity(std::size_t{1} << 30), "");
  EXPECT_EQ(plan.capacity(), 16u);
  EXPECT_EQ(step(plan, batch, 2), step(expected, batch, 2));
  expect_same_plan(plan, expected);
  EXPECT_THROW(step(plan, random_batch(of.model, 17, 1), 3), Error);
}

TEST(PlanCapacity, KernelsAreChosenForTheTunedBatchAlone) {
  plan::Tuner tuner(test_device());
  const Model model = small_cnn();
  Plan plan(test_device(), model, statistics_for(model),
            {.batch = 20, .training = true, .tuner = &tuner, .tuned_batch = 16});
  const std::size_t choices = tuner.choices().size();
  EXPECT_GT(choices, 5u);
  EXPECT_EQ(plan.set_capacity(33), "");
  std::vector<std::string> problems;
  for (const plan::Tuner::Choice& choice : tuner.choices()) {
    EXPECT_TRUE(choice.problem.find("batch 16,") != std::string::npos ||
                choice.problem.find(" 16 rows") != std::string::npos)
        << choice.problem;
    problems.push_back(choice.problem);
  }
  std::sort(problems.begin(), problems.end());
  problems.erase(std::unique(problems.begin(), problems.end()), problems.end());
  EXPECT_EQ(problems.size(), choices) << "no other problem than at first";
  // It runs what it has room for.
  plan.load_parameters(model.initial_parameters(1));
  const RandomBatch batch = random_batch(model, 33, 5);
  plan.enqueue_gradients(batch.images, batch.labels, 0);
  EXPECT_EQ(plan.step_statistics(plan.map_reduction().as<float>()).samples, 33);
}

}  // namespace
}  // namespace dovetail
