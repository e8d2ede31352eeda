// Samples that are copied beside the kernels: the same bits, whatever is still being read.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>

#include "device/held_queue.hpp"
#include "plan/fixture.hpp"
#include "plan/plan.hpp"
#include "plan/step_records.hpp"

namespace dovetail {
namespace {

using namespace testing;

struct Trained {
  Plan plan;
  Trained(const Model& model, const PlanOptions& options) : plan(started_plan(model, options)) {}
  /// Never waits.
  void enqueue(const StepSamples& samples, const std::vector<std::size_t>& sizes,
               std::uint64_t step) {
    plan.enqueue_step(samples, sizes, false);
    plan.enqueue_update(0.02f, {.samples = static_cast<double>(samples.labels.size())}, step + 1);
  }
  std::vector<std::vector<float>> values() {
    std::vector<std::vector<float>> all;
    for (const Parameter& parameter : plan.parameters()) all.push_back(parameter.value.values);
    return all;
  }
};

PlanOptions options_for(UploadWay way) {
  return {.batch = 8,
          .passes = 4,
          .training = true,
          .optimizer = {.kind = OptimizerKind::sgd, .momentum = 0.9f},
          .seed = 5,
          .augmentation = {.crop = 2, .flip = true, .erase = 3},
          .upload_way = way};
}

/// Steps whose samples lie where the plan wants them, each of its own size as the last of an epoch,
/// and of its own passes.
struct Steps {
  std::vector<HostVector<std::uint8_t>> images;
  std::vector<HostVector<std::int32_t>> labels;
  std::vector<std::vector<float>> weights;
  std::vector<std::vector<std::size_t>> sizes;

  Steps(const Model& model, std::size_t count, bool weighed, const HostMemory& memory) {
    const std::vector<std::vector<std::size_t>> cuts{{8},          {4, 4}, {3, 2},
                                                     {8, 8, 8, 8}, {5},    {2, 0}};
    std::mt19937 random(std::random_device{}());
    for (std::size_t step = 0; step < count; ++step) {
      sizes.push_back(cuts[step % cuts.size()]);
      std::size_t samples = 0;
      for (const std::size_t size : sizes.back()) samples += size;
      const RandomBatch batch = random_batch(model, samples, random());
      images.emplace_back(batch.images.begin(), batch.images.end(), memory);
      labels.emplace_back(batch.labels.begin(), batch.labels.end(), memory);
      weights.emplace_back();
      for (std::size_t i = 0; weighed && i < samples; ++i)
        weights.back().push_back(static_cast<float>(1 + random() % 7) / 4);
    }
  }
  StepSamples samples(std::size_t step, bool stays) const {
    return {.images = images[step],
            .labels = labels[step],
            .weights = weights[step],
            .first = 100 * step,
            .stays = stays};
  }
};

TEST(Upload, BesideTheKernelsGivesTheSameBits) {
  constexpr std::size_t count = 40;
  for (const Model& model : {small_cnn(), mixed_model(), normalised_model()}) {
    for (const bool weighed : {false, true}) {
      for (const LossKind loss : {LossKind::cross_entropy, LossKind::mean_squared_error}) {
        PlanOptions plain = options_for(UploadWay::in_turn),
                    beside = options_for(UploadWay::overlapped);
        plain.loss = beside.loss = loss;
        Trained expected(model, plain), actual(model, beside);
        EXPECT_EQ(expected.plan.sample_memory(), nullptr);
        ASSERT_NE(actual.plan.sample_memory(), nullptr);
        const Steps steps(model, count, weighed, actual.plan.sample_memory());
        for (std::size_t step = 0; step < count; ++step) {
          expected.enqueue(steps.samples(step, false), steps.sizes[step], step);
          actual.enqueue(steps.samples(step, step % 3 != 0), steps.sizes[step], step);
          if (step == 17) {  // what else reads images
            EXPECT_EQ(actual.plan.infer(steps.images[3], 32),
                      expected.plan.infer(steps.images[3], 32));
          }
          if (step == 23) {
            EXPECT_EQ(actual.plan.set_capacity(11), "");
            expected.plan.set_capacity(11);
          }
        }
        EXPECT_EQ(actual.values(), expected.values());
      }
    }
  }
}

TEST(Upload, InputThatIsStillToBeReadIsNotOverwritten) {
  if (!HeldQueue::works_on(test_device())) GTEST_SKIP() << HeldQueue::needs;
  constexpr std::size_t count = 3 * plan::StepRecords::most;  // slots are fewer
  for (const Model& model : {small_cnn(), normalised_model()}) {
    for (const bool weighed : {false, true}) {
      Trained expected(model, options_for(UploadWay::in_turn)),
          actual(model, options_for(UploadWay::overlapped));
      Steps steps(model, count, weighed, actual.plan.sample_memory());
      if (weighed) {
        for (Trained* each : {&expected, &actual}) each->plan.set_loss_scale(32);
      }
      for (std::vector<std::size_t>& sizes : steps.sizes) {
        std::size_t samples = 0;
        for (const std::size_t size : sizes) samples += size;
        sizes = {std::min<std::size_t>(samples, 8)};
      }
      const auto samples = [&](std::size_t step, bool stays) {
        StepSamples all = steps.samples(step, stays);
        const std::size_t size = steps.sizes[step].front();
        all.images = all.images.first(all.images.size() / all.labels.size() * size);
        all.labels = all.labels.first(size);
        if (!all.weights.empty()) all.weights = all.weights.first(size);
        return all;
      };
      actual.enqueue(samples(0, true), steps.sizes[0], 0);  // what a first step makes is there
      std::optional<HeldQueue> held(std::in_place, test_device());
      for (std::size_t step = 1; step < count; ++step)
        actual.enqueue(samples(step, true), steps.sizes[step], step);
      held->release();
      for (std::size_t step = 0; step < count; ++step)
        expected.enqueue(samples(step, false), steps.sizes[step], step);
      EXPECT_EQ(actual.values(), expected.values());
    }
  }
}

TEST(Upload, ALossScaleAndItsWeightsGoBesideTheKernelsToo) {
  const Model model = small_cnn();
  Trained expected(model, options_for(UploadWay::in_turn)),
      actual(model, options_for(UploadWay::overlapped));
  const Steps steps(model, 40, true, actual.plan.sample_memory());
  for (std::size_t step = 0; step < 40; ++step) {
    for (Trained* each : {&expected, &actual}) {
      // Seldom: it waits.
      if (step % 13 == 0) each->plan.set_loss_scale(static_cast<float>(1u << step % 9));
      each->enqueue(steps.samples(step, each == &actual), steps.sizes[step], step);
    }
  }
  EXPECT_EQ(actual.values(), expected.values());
}

}  // namespace
}  // namespace dovetail
