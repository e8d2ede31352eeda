// Steps of several passes, and gradients that go out in buckets.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "plan/fixture.hpp"
#include "plan/plan.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using namespace testing;

using Way = opencl::HostedBuffer::Way;

PlanOptions options(std::size_t bucket_bytes, Way way = Way::map) {
  return {.batch = 6,
          .passes = 4,
          .training = true,
          .optimizer = {.kind = OptimizerKind::adam},
          .seed = 5,
          .bucket_bytes = bucket_bytes,
          .reduction_way = way};
}

Plan make_plan(const Model& model, std::size_t bucket_bytes, Way way = Way::map) {
  return started_plan(model, options(bucket_bytes, way));
}

std::vector<float> copy(std::span<const float> values) {
  return {values.begin(), values.end()};
}

/// The host's view of a handed over step; gives it back.
std::vector<float> handed_over(Plan& plan) {
  for (std::size_t bucket = 0; bucket < plan.buckets().size(); ++bucket) plan.await_bucket(bucket);
  const std::vector<float> values = copy(plan.reduction());
  for (std::size_t bucket = 0; bucket < plan.buckets().size(); ++bucket) plan.return_bucket(bucket);
  return values;
}

void expect_same_bits(const std::vector<float>& actual, const std::vector<float>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  std::size_t differing = 0, first = actual.size();
  for (std::size_t i = actual.size(); i-- > 0;) {
    if (std::memcmp(&actual[i], &expected[i], sizeof(float)) == 0) continue;
    ++differing;
    first = i;
  }
  EXPECT_EQ(differing, 0u) << "of " << actual.size() << ", the first is element " << first << ": "
                           << (first < actual.size() ? actual[first] : 0) << " in place of "
                           << (first < actual.size() ? expected[first] : 0);
}

TEST(PlanStep, BucketsHoldWhatOneMappingHolds) {
  for (const Model& model : {small_cnn(), mixed_model(), normalised_model()}) {
    const RandomBatch batch = random_batch(model, 6, 21);
    for (const std::size_t bucket_bytes : {0U, 1U << 10, 1U << 12, 1U << 20}) {
      Plan plan = make_plan(model, bucket_bytes, bucket_bytes == 1U << 12 ? Way::copy : Way::map);
      plan.enqueue_gradients(batch.images, batch.labels, 0);
      const std::vector<float> expected = copy(plan.map_reduction().as<float>());
      const std::size_t size = batch.labels.size();
      for (int round = 0; round < 3; ++round) {
        plan.enqueue_step({.images = batch.images, .labels = batch.labels}, std::span(&size, 1),
                          true);
        expect_same_bits(handed_over(plan), expected);
      }
      if (bucket_bytes == 1U << 10) {
        EXPECT_GE(plan.buckets().size(), 5u);
      }
    }
  }
}

TEST(PlanStep, PassesAreAddedByPairsOfNeighbours) {
  for (const Model& model : {small_cnn(), normalised_model()}) {
    const RandomBatch batch = random_batch(model, 15, 22);
    const std::vector<std::size_t> sizes{5, 4, 6, 0};
    const std::size_t image = batch.images.size() / batch.labels.size();
    Plan plan = make_plan(model, 1 << 12);
    std::vector<std::vector<float>> alone;
    std::size_t first = 0;
    for (const std::size_t size : sizes) {
      plan.enqueue_gradients(std::span(batch.images).subspan(first * image, size * image),
                             std::span(batch.labels).subspan(first, size), first);
      alone.push_back(copy(plan.map_reduction().as<float>()));
      first += size;
    }
    std::vector<float> expected(alone[0].size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      expected[i] = (alone[0][i] + alone[1][i]) + (alone[2][i] + alone[3][i]);
    for (const bool hand_over : {true, false, true}) {
      plan.enqueue_step({.images = batch.images, .labels = batch.labels}, sizes, hand_over);
      expect_same_bits(hand_over ? handed_over(plan) : copy(plan.map_reduction().as<float>()),
                       expected);
    }
    const StepStatistics sums = plan.step_statistics(expected);
    EXPECT_EQ(sums.samples, 15);
    EXPECT_EQ(sums.normalised, 15);
  }
}

/// One dense layer behind the other, as DenseChain takes them.
Model dense_model() {
  return Model("dense", {1, 6, 8},
               {layer::Dense{.out = 40}, layer::Relu{}, layer::Dense{.out = 24}, layer::Relu{},
                layer::Dense{.out = 10}});
}

struct Joining {
  ComputeFormat format;
  LossKind loss;
  bool usual;  // the device's usual kernels, not those of all GPUs
};

// Passes in one launch are those behind each other, to the bit, and those of a rank that has one.
class JoinedPasses : public ::testing::TestWithParam<Joining> {};

TEST_P(JoinedPasses, AreThoseApart) {
  for (const Model& model : {small_cnn(), mixed_model(), normalised_model(), dense_model()}) {
    SCOPED_TRACE(model.name());
    PlanOptions with = options(1 << 12, Way::copy);
    with.batch = 32;
    with.loss = GetParam().loss;
    with.format = GetParam().format;
    if (!GetParam().usual) with.variant = Variant::gpu;
    const auto make = [&](bool join, int passes) {
      with.join_passes = join;
      with.passes = passes;
      auto plan = std::make_unique<Plan>(test_device(), model, statistics_for(model), with);
      plan->load_parameters(model.initial_parameters(1));
      plan->load_statistics(model.initial_statistics());
      plan->set_loss_scale(4);
      return plan;
    };
    const auto joined = make(true, 4), apart = make(false, 4), alone = make(true, 1);
    for (const std::size_t size : {32U, 5U, 1U}) {
      EXPECT_TRUE(joined->joins_passes({static_cast<int>(size), 4}));
      EXPECT_FALSE(apart->joins_passes({static_cast<int>(size), 4}));
      const RandomBatch batch = random_batch(model, 4 * size, 25 + size);
      std::vector<float> weights(4 * size);
      for (std::size_t i = 0; i < weights.size(); ++i)
        weights[i] = 0.5f + static_cast<float>(i % 7) / 4;
      const std::size_t image = batch.images.size() / batch.labels.size();
      std::vector<std::vector<float>> own;
      for (std::size_t pass = 0; pass < 4; ++pass) {
        alone->enqueue_gradients(std::span(batch.images).subspan(pass * size * image, size * image),
                                 std::span(batch.labels).subspan(pass * size, size), pass * size,
                                 std::span(weights).subspan(pass * size, size));
        own.push_back(copy(alone->map_reduction().as<float>()));
      }
      std::vector<float> expected(own[0].size());
      for (std::size_t i = 0; i < expected.size(); ++i)
        expected[i] = (own[0][i] + own[1][i]) + (own[2][i] + own[3][i]);
      const StepSamples samples{.images = batch.images, .labels = batch.labels, .weights = weights};
      const std::vector<std::size_t> sizes(4, size);
      for (Plan* plan : {apart.get(), joined.get()}) {
        SCOPED_TRACE(plan == joined.get() ? "joined" : "apart");
        for (const bool hand_over : {true, false}) {
          plan->enqueue_step(samples, sizes, hand_over);
          expect_same_bits(hand_over ? handed_over(*plan) : copy(plan->map_reduction().as<float>()),
                           expected);
        }
      }
    }
    // Passes of different sizes go apart.
    const RandomBatch batch = random_batch(model, 27, 26);
    const std::vector<std::size_t> sizes{8, 7, 6, 6};
    const StepSamples samples{.images = batch.images, .labels = batch.labels};
    apart->enqueue_step(samples, sizes, false);
    const std::vector<float> expected = copy(apart->map_reduction().as<float>());
    joined->enqueue_step(samples, sizes, true);
    expect_same_bits(handed_over(*joined), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Plan, JoinedPasses,
    ::testing::Values(Joining{ComputeFormat::float32, LossKind::cross_entropy, false},
                      Joining{ComputeFormat::float32, LossKind::mean_squared_error, false},
                      Joining{ComputeFormat::bf16, LossKind::cross_entropy, false},
                      Joining{ComputeFormat::float32, LossKind::cross_entropy, true},
                      Joining{ComputeFormat::tf32, LossKind::cross_entropy, true}),
    [](const auto& instance) {
      return fmt::format("{}_{}_{}", to_string(instance.param.format),
                         instance.param.loss == LossKind::cross_entropy ? "entropy" : "squares",
                         instance.param.usual ? "usual" : "gpu");
    });

TEST(PlanStep, TheUpdateSeesWhatTheHostWrote) {
  const Model model = small_cnn();
  const RandomBatch batch = random_batch(model, 6, 23);
  std::vector<std::vector<Parameter>> results;
  for (const int kind : {0, 1, 2}) {
    const bool hand_over = kind > 0;
    Plan plan = make_plan(model, 1 << 12, kind == 2 ? Way::copy : Way::map);
    EXPECT_EQ(plan.keeps_reduction(), kind == 2);
    for (std::uint64_t step = 1; step <= 3; ++step) {
      const std::size_t size = 6;
      plan.enqueue_step({.images = batch.images, .labels = batch.labels}, std::span(&size, 1),
                        hand_over);
      const auto change = [](std::span<float> values) {
        for (float& value : values) value *= 3;
      };
      StepStatistics statistics;
      if (hand_over) {
        for (std::size_t i = 0; i < plan.buckets().size(); ++i) plan.await_bucket(i);
        change(plan.reduction());
        statistics = plan.step_statistics(plan.reduction());
        for (std::size_t i = 0; i < plan.buckets().size(); ++i) plan.return_bucket(i);
      } else {
        const opencl::Mapping mapping = plan.map_reduction();
        change(mapping.as<float>());
        statistics = plan.step_statistics(mapping.as<float>());
      }
      EXPECT_EQ(statistics.samples, 18);
      plan.enqueue_update(0.01f, statistics, step);
    }
    results.push_back(plan.parameters());
  }
  for (const int other : {1, 2}) {
    for (std::size_t i = 0; i < results[0].size(); ++i)
      EXPECT_EQ(results[0][i].value.values,
                results[static_cast<std::size_t>(other)][i].value.values);
  }
}

TEST(PlanStep, MemoryFromOutsideHasTheSizeThatWasForetold) {
  for (const Model& model : {mixed_model(), normalised_model()}) {
    PlanOptions with = options(1 << 12);
    const auto size = Plan::reduction_size(test_device(), model, with);
    std::vector<float> storage(size.all + 1024);
    auto* begin = reinterpret_cast<float*>(
        (reinterpret_cast<std::uintptr_t>(storage.data()) + 4095) / 4096 * 4096);
    with.reduction_memory = {begin, size.all};
    Plan plan(test_device(), model, statistics_for(model), with);
    EXPECT_EQ(plan.reduction().data(), begin);
    EXPECT_EQ(plan.buckets(), size.buckets);
    EXPECT_EQ(plan.buckets().back().begin, size.gradients);
    EXPECT_EQ(plan.buckets().back().end, size.all);
  }
}

TEST(PlanStep, RefusesPassesThatItHasNoRoomFor) {
  const Model model = small_cnn();
  const RandomBatch batch = random_batch(model, 6, 24);
  Plan plan = make_plan(model, 0);
  for (const std::vector<std::size_t>& sizes :
       {std::vector<std::size_t>{2, 2, 2}, {1, 1, 1, 1, 1, 1, 0, 0}, {3, 2}, {}}) {
    EXPECT_THROW(plan.enqueue_step({.images = batch.images, .labels = batch.labels}, sizes, false),
                 Error);
  }
}

}  // namespace
}  // namespace dovetail
