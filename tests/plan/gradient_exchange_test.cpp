// Sums of gradients between a device, its host and the other ranks that mpirun started.
#include "plan/gradient_exchange.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <thread>

#include "comm/shared_window.hpp"
#include "mpi/mpi_main.hpp"
#include "plan/fixture.hpp"
#include "support/activity.hpp"
#include "support/clock.hpp"

namespace dovetail {
namespace {

using namespace testing;

using Way = opencl::HostedBuffer::Way;

constexpr std::size_t samples = 6;

PlanOptions options(std::size_t bucket_bytes, Way way) {
  return {.batch = samples,
          .training = true,
          .optimizer = {.momentum = 0.9f},
          .seed = 5,
          .bucket_bytes = bucket_bytes,
          .reduction_way = way};
}

std::vector<float> copy(std::span<const float> values) {
  return {values.begin(), values.end()};
}

/// A plan with its sums.
struct Rank {
  Rank(const Model& model, std::size_t bucket_bytes, Way way, bool overlap)
      : reduce(world(),
               GradientExchange::parts(
                   Plan::reduction_size(test_device(), model, options(bucket_bytes, way)).buckets)),
        plan(started_plan(model, with_memory(bucket_bytes, way))),
        exchange(plan, reduce, overlap) {}
  PlanOptions with_memory(std::size_t bucket_bytes, Way way) const {
    PlanOptions with = options(bucket_bytes, way);
    with.reduction_memory = reduce.memory();
    return with;
  }
  void enqueue(const RandomBatch& batch) {
    plan.enqueue_step({.images = batch.images, .labels = batch.labels}, std::span(&samples, 1),
                      true);
  }

  AllReduce reduce;
  Plan plan;
  GradientExchange exchange;
  GradientExchange::Timing timing{};
};

RandomBatch batch_of(const Model& model, int rank, std::uint64_t step) {
  return random_batch(model, samples, 100 * step + static_cast<std::uint64_t>(rank));
}

float tree(const std::vector<std::vector<float>>& values, std::size_t i, std::size_t first,
           std::size_t count) {
  if (count == 1) return values[first][i];
  const std::size_t left = (count + 1) / 2;
  return tree(values, i, first, left) + tree(values, i, first + left, count - left);
}

/// The gradients of all ranks, computed here with the plan's present weights; rank 0 adds `more`.
std::vector<float> expected_sums(Plan& plan, std::uint64_t step,
                                 const std::vector<float>& more = {}) {
  std::vector<std::vector<float>> each;
  for (int rank = 0; rank < world().size(); ++rank) {
    const RandomBatch batch = batch_of(plan.model(), rank, step);
    plan.enqueue_gradients(batch.images, batch.labels, 0);
    each.push_back(copy(plan.map_reduction().as<float>().first(plan.gradient_elements())));
  }
  for (std::size_t i = 0; i < more.size(); ++i) each[0][i] += more[i];
  std::vector<float> sums(each[0].size());
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = tree(each, i, 0, each.size());
  return sums;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

TEST(GradientExchange, UpdatesSeeTheTreesSumsByEveryWay) {
  for (const Model& model : {small_cnn(), normalised_model()}) {
    std::vector<std::vector<Parameter>> results;
    for (const Way way : {Way::map, Way::copy}) {
      if (way == Way::map && !test_device().is_cpu()) continue;
      for (const bool overlap : {true, false}) {
        Rank rank(model, 1 << 10, way, overlap);
        EXPECT_GE(rank.plan.buckets().size(), 4u);
        for (std::uint64_t step = 1; step <= 4; ++step) {
          const std::vector<float> expected = expected_sums(rank.plan, step);
          rank.enqueue(batch_of(model, world().rank(), step));
          const GradientExchange::Sums sums =
              rank.exchange.sum(step, {.stop = 1.0 + world().rank(), .checkpoint = 1}, rank.timing);
          EXPECT_TRUE(same_bits(sums.reduction.first(expected.size()), expected));
          EXPECT_TRUE(sums.all_finite());
          const StepStatistics statistics = rank.plan.step_statistics(sums.reduction);
          const int ranks = world().size();
          EXPECT_EQ(statistics.samples, ranks * static_cast<int>(samples));
          EXPECT_EQ(statistics.votes.stop, ranks * (ranks + 1) / 2.0);
          EXPECT_EQ(statistics.votes.checkpoint, ranks);
          rank.exchange.give_back();
          rank.plan.enqueue_update(0.05f, statistics, step);
        }
        results.push_back(rank.plan.parameters());
        const CommunicationTime time = rank.exchange.time();
        EXPECT_GT(time.exposed_s, 0);
        EXPECT_GE(time.total_s, time.exposed_s);
        if (!overlap) {
          EXPECT_NEAR(time.total_s, time.exposed_s, 1e-9);
        }
        EXPECT_EQ(rank.exchange.time().total_s, time.total_s) << "counted twice";
      }
    }
    for (const std::vector<Parameter>& result : results) {
      for (std::size_t i = 0; i < result.size(); ++i)
        EXPECT_TRUE(same_bits(result[i].value.values, results[0][i].value.values));
    }
  }
}

/// Values for every gradient, which come when they have been asked for `patience` times.
class LateValues : public Summand {
 public:
  LateValues(std::vector<float> values, int patience)
      : values_(std::move(values)), patience_(patience) {}
  bool has_come() override { return asked_++ >= patience_; }
  void take() override { ++taken_; }
  void add(const plan::Bucket& bucket, std::span<float> reduction) override {
    EXPECT_EQ(taken_, 1);
    for (std::size_t i = bucket.begin; i < std::min(bucket.end, values_.size()); ++i)
      reduction[i] += values_[i];
    added_ += bucket.size();
  }
  int asked() const { return asked_; }
  int taken() const { return taken_; }
  std::size_t added() const { return added_; }

 private:
  std::vector<float> values_;
  int patience_;
  int asked_ = 0, taken_ = 0;
  std::size_t added_ = 0;
};

TEST(GradientExchange, WhatARankAddsIsInEverySumWheneverItComes) {
  const Model model = normalised_model();
  constexpr int never = 1000;
  for (const Way way : {Way::map, Way::copy}) {
    if (way == Way::map && !test_device().is_cpu()) continue;
    for (const bool overlap : {true, false}) {
      Rank rank(model, 1 << 10, way, overlap);
      const auto asked_at_most = static_cast<int>(rank.plan.buckets().size()) - 1;
      SplitMix64 random(31);
      std::uint64_t step = 0;
      for (const int patience : {0, 2, never, 1}) {
        ++step;
        std::vector<float> more(rank.plan.gradient_elements());
        for (float& value : more) value = random.uniform(-1, 1);
        const std::vector<float> expected = expected_sums(rank.plan, step, more);
        LateValues late(more, patience);
        rank.enqueue(batch_of(model, world().rank(), step));
        const GradientExchange::Sums sums =
            rank.exchange.sum(step, {}, rank.timing, world().is_lead() ? &late : nullptr);
        EXPECT_TRUE(same_bits(sums.reduction.first(expected.size()), expected));
        rank.exchange.give_back();
        if (!world().is_lead()) continue;
        EXPECT_EQ(late.taken(), 1);
        EXPECT_EQ(late.added(), sums.reduction.size()) << "each bucket once";
        EXPECT_EQ(late.asked(), overlap ? std::min(patience + 1, asked_at_most) : 0);
      }
    }
  }
}

/// Notes which bucket the rank waits for each time it is asked.
class Witness : public Summand {
 public:
  bool has_come() override {
    buckets_.push_back(activity::now().bucket);
    return false;
  }
  void take() override {}
  void add(const plan::Bucket&, std::span<float>) override {}
  const std::vector<int>& buckets() const { return buckets_; }

 private:
  std::vector<int> buckets_;
};

TEST(GradientExchange, AWatchdogSeesWhichBucketIsWaitedFor) {
  const Model model = normalised_model();
  Rank rank(model, 1 << 10, Way::copy, true);
  // Set once the last rank waits for the first bucket's sum: only then does rank 0 begin.
  const SharedWindow window(world(), sizeof(std::uint64_t));
  const std::atomic_ref<std::uint64_t> seen(
      *reinterpret_cast<std::uint64_t*>(window.segment(0).data()));
  const bool looks = world().rank() == world().size() - 1 && !world().is_lead();
  std::atomic<bool> over{false};
  std::thread other([&] {
    while (looks && !over) {
      const activity::State state = activity::now();
      if (state.phase == std::string("all-reduce") && state.step == 7 && state.bucket == 0)
        seen = 1;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  rank.enqueue(batch_of(model, world().rank(), 1));
  activity::enter("compute", 7);
  Witness witness;
  if (world().is_lead() && world().size() > 1) {
    const Stopwatch watch;
    while (seen == 0 && watch.seconds() < 60) std::this_thread::yield();
    EXPECT_EQ(seen, 1u);
  }
  rank.exchange.sum(7, {}, rank.timing, world().is_lead() ? &witness : nullptr);
  rank.exchange.give_back();
  over = true;
  other.join();
  if (!world().is_lead()) return;
  ASSERT_EQ(witness.buckets().size(), rank.plan.buckets().size() - 1);
  for (std::size_t bucket = 0; bucket < witness.buckets().size(); ++bucket)
    EXPECT_EQ(witness.buckets()[bucket], static_cast<int>(bucket));
}

TEST(GradientExchange, SaysWhetherSumsAreFinite) {
  const Model model = normalised_model();
  for (const Way way : {Way::map, Way::copy}) {
    if (way == Way::map && !test_device().is_cpu()) continue;
    Rank rank(model, 1 << 10, way, true);
    for (const int culprit : {-1, 0, world().size() - 1, -1}) {
      const bool is_culprit = world().rank() == culprit;
      rank.plan.set_loss_scale(is_culprit ? std::numeric_limits<float>::infinity() : 1.0f);
      rank.enqueue(batch_of(model, world().rank(), 1));
      const GradientExchange::Sums sums = rank.exchange.sum(1, {}, rank.timing);
      EXPECT_EQ(sums.gradients_are_finite, culprit == -1);
      EXPECT_TRUE(sums.rest_is_finite);
      EXPECT_EQ(sums.all_finite(), Plan::all_finite(sums.reduction));
      rank.exchange.give_back();
    }
  }
}

}  // namespace
}  // namespace dovetail
