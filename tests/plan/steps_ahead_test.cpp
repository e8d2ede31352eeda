// Steps of a rank alone, enqueued ahead: what they do and say is what each by itself does and says.
#include "plan/steps_ahead.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "plan/fixture.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using namespace testing;

constexpr std::size_t batch = 6, many = 3 * plan::StepRecords::most + 5;
constexpr float rate = 0.02f;

/// Whose updates make the record on their way, and, where the device can run them, whose need a
/// look of its own.
Variant variant_of(std::size_t i) {
  return i % 2 == 1 && test_device().is_cpu() ? Variant::cpu : Variant::gpu;
}

using Way = opencl::HostedBuffer::Way;

Plan make_plan(const Model& model, Way way = Way::map, UploadWay upload = UploadWay::in_turn,
               std::optional<Variant> variant = {}) {
  return started_plan(model, {.batch = batch,
                              .passes = 2,
                              .training = true,
                              .optimizer = {.kind = OptimizerKind::sgd, .momentum = 0.9f},
                              .seed = 5,
                              .variant = variant,
                              .reduction_way = way,
                              .upload_way = upload});
}

/// The samples of some steps; one of them may carry a weight that is not finite.
struct Work {
  std::vector<RandomBatch> batches;
  std::vector<std::vector<float>> weights;
  std::vector<std::size_t> sizes;

  Work(const Model& model, std::size_t passes, std::size_t steps, std::uint64_t seed)
      : weights(steps), sizes(passes, batch / passes) {
    for (std::size_t i = 0; i < steps; ++i) batches.push_back(random_batch(model, batch, seed + i));
  }
  void break_step(std::size_t step) {
    weights[step].assign(batch, 1.0f);
    weights[step][2] = std::numeric_limits<float>::infinity();
  }
  StepSamples samples(std::size_t step) const {
    return {.images = batches[step].images,
            .labels = batches[step].labels,
            .weights = weights[step],
            .first = step * batch};
  }
};

void expect_same(const std::vector<Parameter>& actual, const std::vector<Parameter>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const auto &mine = actual[i].value.values, &theirs = expected[i].value.values;
    ASSERT_EQ(mine.size(), theirs.size());
    EXPECT_EQ(std::memcmp(mine.data(), theirs.data(), mine.size() * sizeof(float)), 0)
        << expected[i].name;
  }
}

void update(Plan& plan, std::size_t step, double samples) {
  plan.enqueue_update(rate, {.samples = samples}, step + 1);
}

/// One step, through the host's view of its sums.
StepStatistics step_by_itself(Plan& plan, const Work& work, std::size_t step) {
  plan.enqueue_step(work.samples(step), work.sizes, false);
  StepStatistics statistics;
  {
    const opencl::Mapping mapping = plan.map_reduction();
    statistics = plan.step_statistics(mapping.as<float>());
    plan.update_running_statistics(mapping.as<float>(), statistics.normalised);
  }
  update(plan, step, statistics.samples);
  return statistics;
}

TEST(StepsAhead, DoWhatEachByItselfDoes) {
  for (const Model& model : {small_cnn(), mixed_model(), normalised_model()}) {
    for (const std::size_t passes : {1U, 2U}) {
      const Work work(model, passes, many, 31);
      const Variant variant = variant_of(passes);
      Plan one = make_plan(model, Way::map, UploadWay::in_turn, variant),
           other =
               make_plan(model, passes == 2 ? Way::copy : Way::map, UploadWay::overlapped, variant);
      EXPECT_EQ(other.records_updates(), variant == Variant::gpu);
      StepsAhead ahead(test_device(), other);
      std::vector<StepsAhead::Done> done;
      for (std::size_t step = 0; step < many; ++step) {
        while (ahead.is_full()) done.push_back(ahead.wait());
        ahead.enqueue(step, work.samples(step), work.sizes, rate);
        EXPECT_LE(ahead.size(), plan::StepRecords::most);
        EXPECT_EQ(ahead.oldest(), done.size());
        while (const auto oldest = ahead.poll()) done.push_back(*oldest);
      }
      while (ahead.size() > 0) done.push_back(ahead.wait());
      ASSERT_EQ(done.size(), many);
      for (std::size_t step = 0; step < many; ++step) {
        const StepStatistics expected = step_by_itself(one, work, step);
        EXPECT_EQ(done[step].step, step);
        EXPECT_EQ(done[step].not_finite, "");
        EXPECT_EQ(done[step].statistics.loss_sum, expected.loss_sum);
        EXPECT_EQ(done[step].statistics.correct, expected.correct);
        EXPECT_EQ(done[step].statistics.samples, expected.samples);
        EXPECT_EQ(done[step].statistics.normalised, expected.normalised);
      }
      expect_same(other.parameters(), one.parameters());
      expect_same(other.statistics(), one.statistics());
      expect_same(other.optimizer_state()[0], one.optimizer_state()[0]);
    }
  }
}

TEST(StepsAhead, NameTheStepAndWhatIsNotFinite) {
  const Model model = normalised_model();
  for (const std::size_t broken : {0U, 3U, 9U}) {
    Work work(model, 1, 11, 77);
    work.break_step(broken);
    const Variant variant = variant_of(broken);
    Plan plan = make_plan(model, Way::map, UploadWay::in_turn, variant);
    StepsAhead ahead(test_device(), plan);
    std::optional<StepsAhead::Done> failed;
    const auto look = [&](const StepsAhead::Done& done) {
      if (!failed && done.failed()) failed = done;
    };
    for (std::size_t step = 0; step < work.batches.size() && !failed; ++step) {
      while (ahead.is_full()) look(ahead.wait());
      ahead.enqueue(step, work.samples(step), work.sizes, rate);
    }
    while (ahead.size() > 0) look(ahead.wait());
    ASSERT_TRUE(failed);
    EXPECT_EQ(failed->step, broken);

    Plan alone = make_plan(model, Way::map, UploadWay::in_turn, variant);
    for (std::size_t step = 0; step < broken; ++step) step_by_itself(alone, work, step);
    alone.enqueue_step(work.samples(broken), work.sizes, false);
    const std::string expected = alone.first_not_finite(alone.map_reduction().as<float>());
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(failed->not_finite, expected);
  }
}

TEST(StepsAhead, ALabelThatIsNoneIsALossThatIsNotFinite) {
  const Model model = small_cnn();
  Work work(model, 1, 1, 3);
  work.batches[0].labels[4] = 10;
  Plan plan = make_plan(model);
  StepsAhead ahead(test_device(), plan);
  ahead.enqueue(0, work.samples(0), work.sizes, rate);
  EXPECT_EQ(ahead.wait().not_finite, "the loss");
}

// The scale halves in four steps, and doubles after the tenth finite one and never again.
TEST(StepsAhead, FollowALossScaleWithoutTheHost) {
  const Model model = small_cnn();
  for (const std::size_t passes : {1U, 2U}) {
    Work work(model, passes, 60, 5);
    for (const std::size_t broken : {10U, 17U, 18U, 40U}) work.break_step(broken);
    const Variant variant = variant_of(passes);
    const auto plan_of = [&] {
      return make_plan(model, Way::copy, UploadWay::overlapped, variant);
    };
    Plan plan = plan_of(), alone = plan_of();
    LossScale scale(16, LossScale::patience - 10), expected = scale;
    plan.set_loss_scale(scale.value(), scale.steps());
    StepsAhead ahead(test_device(), plan, &scale);
    std::vector<float> scales;
    std::size_t most = 0;
    const auto note = [&](const StepsAhead::Done& done) {
      EXPECT_EQ(done.step, scales.size());
      EXPECT_EQ(done.overflowed, !work.weights[done.step].empty()) << done.step;
      EXPECT_FALSE(done.failed());
      // Who trains on until no scale helps has to say where it was.
      EXPECT_EQ(done.not_finite.empty(), !done.overflowed);
      scales.push_back(scale.value());
      EXPECT_EQ(plan.loss_scale(), scale.value());
    };
    for (std::size_t step = 0; step < work.batches.size(); ++step) {
      while (ahead.is_full()) note(ahead.wait());
      ahead.enqueue(step, work.samples(step), work.sizes, rate);
      most = std::max(most, ahead.size());
    }
    while (ahead.size() > 0) note(ahead.wait());
    EXPECT_GT(most, 1u);
    for (std::size_t step = 0; step < work.batches.size(); ++step) {
      alone.set_loss_scale(expected.value());
      const bool is_finite = work.weights[step].empty();
      if (is_finite) step_by_itself(alone, work, step);
      expected.after(is_finite);
      EXPECT_EQ(scales[step], expected.value()) << step;
    }
    EXPECT_EQ(expected.value(), 2);
    EXPECT_EQ(scale.skipped(), expected.skipped());
    EXPECT_EQ(scale.steps(), expected.steps());
    expect_same(plan.parameters(), alone.parameters());
    expect_same(plan.optimizer_state()[0], alone.optimizer_state()[0]);
  }
}

// The scale of 1 is one like others.
TEST(StepsAhead, NothingIsUpdatedWhereAScaleOfOneOverflows) {
  const Model model = small_cnn();
  Work work(model, 1, 1, 8);
  work.break_step(0);
  for (const Variant variant : {variant_of(0), variant_of(1)}) {
    Plan plan = make_plan(model, Way::map, UploadWay::in_turn, variant);
    LossScale scale(1);
    plan.set_loss_scale(scale.value());
    const std::vector<Parameter> before = plan.parameters();
    StepsAhead ahead(test_device(), plan, &scale);
    ahead.enqueue(0, work.samples(0), work.sizes, rate);
    EXPECT_TRUE(ahead.wait().overflowed);
    EXPECT_EQ(scale.value(), 0.5f);
    expect_same(plan.parameters(), before);
  }
  Plan plan = make_plan(model);
  LossScale scale(1);
  StepsAhead ahead(test_device(), plan, &scale);
  EXPECT_THROW(ahead.enqueue(0, work.samples(0), work.sizes, rate), Error) << "none was set";
}

TEST(StepsAhead, WeightsOfSamplesAreTimesTheScale) {
  const Model model = small_cnn();
  Work work(model, 1, 3 * plan::StepRecords::most, 6);  // slots are fewer
  for (std::size_t step = 1; step < work.weights.size(); step += 2)
    for (std::size_t i = 0; i < batch; ++i) work.weights[step].push_back(0.25f * float(i + 1));
  for (const UploadWay upload : {UploadWay::in_turn, UploadWay::overlapped}) {
    Plan plan = make_plan(model, Way::copy, upload), alone = make_plan(model, Way::copy, upload);
    LossScale scale(1024);
    plan.set_loss_scale(scale.value());
    {
      StepsAhead ahead(test_device(), plan, &scale);
      for (std::size_t step = 0; step < work.batches.size(); ++step) {
        while (ahead.is_full()) ahead.wait();
        ahead.enqueue(step, work.samples(step), work.sizes, rate);
        step_by_itself(alone, work, step);
      }
    }
    expect_same(plan.parameters(), alone.parameters());
  }
}

TEST(StepsAhead, ABrokenLossFailsWhateverTheScale) {
  const Model model = small_cnn();
  Work work(model, 1, 2, 3);
  work.batches[0].labels[4] = 10;
  Plan plan = make_plan(model);
  LossScale scale(16);
  plan.set_loss_scale(scale.value());
  StepsAhead ahead(test_device(), plan, &scale);
  ahead.enqueue(0, work.samples(0), work.sizes, rate);
  const StepsAhead::Done done = ahead.wait();
  EXPECT_TRUE(done.failed());
  EXPECT_EQ(done.not_finite, "the loss");
  EXPECT_EQ(scale.value(), 16);
}

TEST(StepsAhead, RefuseMoreThanThereIsRoomFor) {
  const Model model = small_cnn();
  const Work work(model, 1, many, 5);
  Plan plan = make_plan(model);
  StepsAhead ahead(test_device(), plan);
  std::size_t step = 0;
  while (!ahead.is_full()) ahead.enqueue(step, work.samples(step), work.sizes, rate), ++step;
  EXPECT_THROW(ahead.enqueue(step, work.samples(step), work.sizes, rate), Error);
  EXPECT_LE(step, 2u) << "nothing is known yet of how long a step takes";
}

}  // namespace
}  // namespace dovetail
