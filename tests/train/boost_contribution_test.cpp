// What FPGA ranks contribute counts with its samples and its weight, and is refused where it is not
// finite.
#include "train/boost_contribution.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>

#include "plan/fixture.hpp"
#include "quant/range_error.hpp"
#include "shards/shard_writer.hpp"
#include "support/error.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

using ::testing::ThrowsMessage;

/// Mean gradient of the samples in float64, sample by sample.
std::vector<double> mean_in_float64(Plan& plan, const testing::RandomBatch& batch,
                                    const std::vector<std::size_t>& samples) {
  const auto image = static_cast<std::size_t>(plan.model().input().size());
  std::vector<double> mean;
  for (const std::size_t i : samples) {
    plan.enqueue_gradients(std::span(batch.images).subspan(i * image, image),
                           std::span(batch.labels).subspan(i, 1), 0);
    const opencl::Mapping mapping = plan.map_reduction();
    const std::vector<float> gradient = plan.gradients(mapping.as<float>());
    mean.resize(gradient.size());
    for (std::size_t j = 0; j < mean.size(); ++j)
      mean[j] += static_cast<double>(gradient[j]) / static_cast<double>(samples.size());
  }
  return mean;
}

TEST(BoostContribution, TheUpdateHasTheGradientOfTheSamplesThatArrived) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  const Model model = testing::small_cnn();
  Plan plan(testing::test_device(), model, testing::statistics_for(model),
            {.batch = 16, .training = true});
  plan.load_parameters(model.initial_parameters(seed));
  const testing::RandomBatch batch = testing::random_batch(model, 10, seed);
  const auto image = static_cast<std::size_t>(model.input().size());
  const auto enqueue = [&](std::size_t begin, std::size_t count) {
    plan.enqueue_gradients(std::span(batch.images).subspan(begin * image, count * image),
                           std::span(batch.labels).subspan(begin, count), 0);
  };
  // Samples 0…3 are the GPU rank's own; 4…5 and 8…9 are contributed; 6…7 come too late.
  std::vector<std::vector<float>> contributed;
  std::vector<StepStatistics> sums;
  for (const std::size_t begin : {4u, 8u}) {
    enqueue(begin, 2);
    const opencl::Mapping mapping = plan.map_reduction();
    contributed.push_back(plan.gradients(mapping.as<float>()));
    sums.push_back(plan.step_statistics(mapping.as<float>()));
  }
  const std::vector<double> expected = mean_in_float64(plan, batch, {0, 1, 2, 3, 4, 5, 8, 9});
  enqueue(0, 4);
  const opencl::Mapping mapping = plan.map_reduction();
  for (std::size_t i = 0; i < 2; ++i)
    plan.add_gradients(mapping.as<float>(), contributed[i], sums[i], 1);
  const StepStatistics total = plan.step_statistics(mapping.as<float>());
  EXPECT_EQ(total.samples, 8);
  EXPECT_EQ(total.normalised, 4);
  const std::vector<float> sum = plan.gradients(mapping.as<float>());
  double largest = 0, difference = 0;
  for (std::size_t j = 0; j < sum.size(); ++j) {
    largest = std::max(largest, std::abs(expected[j]));
    difference = std::max(difference, std::abs(sum[j] / total.samples - expected[j]));
  }
  EXPECT_LT(difference, 1e-5 * largest);
}

TEST(BoostContribution, MeasuresGradientsByWeightsOfEveryAge) {
  for (const std::uint64_t every : {1, 4, 10, 50}) {
    for (const std::uint64_t staleness : {0, 1, 4, 20, 99}) {
      BoostSettings settings;
      settings.measure_every = every;
      settings.staleness = staleness;
      const std::uint64_t interval = measurement_interval(settings);
      EXPECT_GE(interval, every);
      std::set<std::uint64_t> ages;
      for (std::uint64_t i = 0; i <= staleness; ++i) ages.insert(i * interval % (staleness + 1));
      EXPECT_EQ(ages.size(), staleness + 1) << every << " and " << staleness;
    }
  }
  EXPECT_EQ(measurement_interval(BoostSettings{}), 50u);
}

TEST(BoostContribution, AWeightCountsGradientsAndSamplesAlike) {
  const Model model = testing::small_cnn();
  Plan plan(testing::test_device(), model, testing::statistics_for(model),
            {.batch = 4, .training = true});
  plan.load_parameters(model.initial_parameters(1));
  plan.enqueue_gradients({}, {}, 0);  // no samples of its own
  const opencl::Mapping mapping = plan.map_reduction();
  std::vector<float> ones(plan.gradients(mapping.as<float>()).size(), 2.0f);
  plan.add_gradients(mapping.as<float>(), ones, {.loss_sum = 8, .correct = 4, .samples = 4}, 0.25);
  const StepStatistics total = plan.step_statistics(mapping.as<float>());
  EXPECT_EQ(total.samples, 1);
  EXPECT_EQ(total.loss_sum, 2);
  for (const float value : plan.gradients(mapping.as<float>())) ASSERT_EQ(value, 0.5f);
  ones.pop_back();
  EXPECT_THROW(plan.add_gradients(mapping.as<float>(), ones, {}, 1), Error);
}

/// A lead with one FPGA rank, whose reports are made up.
class ContributionOfALead : public ::testing::Test {
 protected:
  ContributionOfALead() {
    const testing::RandomBatch batch = testing::random_batch(model_, 20, 3);
    Samples samples;
    samples.shape = {1, 12, 12};
    samples.classes = 10;
    samples.images = batch.images;
    samples.labels = batch.labels;
    write_split(scratch_.path(), samples, {.split = "train"});
    plan_.load_parameters(model_.initial_parameters(1));
    plan_.enqueue_gradients({}, {}, 0);
    parameters_ = plan_.gradients(plan_.map_reduction().as<float>()).size();
    arrivals_.emplace(schedule_, 0, parameters_);
    contribution_.emplace(
        plan_, ShardReader(scratch_.path(), "train"), schedule_, BoostTiming{}, settings(),
        BoostContribution::Lead{&*arrivals_, &counters_, &log_, [] {}, [this] { return serving_; },
                                [this] { return alone_; }});
  }

  static BoostSettings settings() {
    BoostSettings settings;
    settings.share = 0.4;
    settings.gradient_format = "bfp5";
    settings.weight = 0.5;
    return settings;
  }

  void arrives(std::uint64_t step, const std::vector<float>& values, double loss_sum) {
    ReportInbox::Arrival arrival;
    arrival.report = {.kind = quant::Report::Kind::gradients,
                      .step = step,
                      .sums = {.version = 1, .samples = 4, .loss_sum = loss_sum}};
    arrival.payload.resize(values.size() * sizeof(float));
    std::memcpy(arrival.payload.data(), values.data(), arrival.payload.size());
    arrivals_->add({arrival});
  }

  const Model model_ = testing::small_cnn();
  const StepSchedule schedule_{.samples = 20, .pool = 6, .batch = 6, .contributed = 4};
  ScratchFolder scratch_;
  Plan plan_{testing::test_device(),
             model_,
             testing::statistics_for(model_),
             {.batch = 16, .training = true}};
  RunLog log_{scratch_ / "run.jsonl", false};
  BoostCounters counters_;
  std::size_t serving_ = 1, parameters_ = 0;
  bool alone_ = false;
  std::optional<BoostArrivals> arrivals_;
  std::optional<BoostContribution> contribution_;
};

TEST_F(ContributionOfALead, RefusesWhatIsNotFinite) {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const char* line =
      "the gradients that FPGA ranks contributed to step 3 are not finite numbers: 4 samples in "
      "bfp5, weight 0.5, by weights 1 step old";
  for (const float bad : {infinity, -infinity, nan}) {
    SCOPED_TRACE(bad);
    std::vector<float> values(parameters_, 1.0f);
    values[parameters_ / 2] = bad;
    arrivals_.emplace(schedule_, 0, parameters_);
    arrives(2, values, 4);
    EXPECT_THAT([&] { contribution_->of(2).take(); }, ThrowsMessage<quant::RangeError>(line));
  }
  arrivals_.emplace(schedule_, 0, parameters_);
  arrives(2, std::vector<float>(parameters_, 1.0f), std::nan(""));
  EXPECT_THAT([&] { contribution_->of(2).take(); }, ThrowsMessage<quant::RangeError>(line));
  EXPECT_EQ(contribution_->so_far(), "");
}

TEST_F(ContributionOfALead, SaysWhatItHasTaken) {
  arrives(3, std::vector<float>(parameters_, 1.0f), 4);
  contribution_->of(3).take();
  EXPECT_EQ(counters_.boosted_samples, 4u);
  EXPECT_EQ(contribution_->so_far(),
            "FPGA ranks contributed gradients to 1 step (in bfp5, weight 0.5, by weights up to 2 "
            "steps old)");
}

TEST_F(ContributionOfALead, WhatNobodyTrainsOnIsMissing) {
  const auto missing_of = [&](std::uint64_t step) {
    const std::uint64_t before = counters_.missing_samples;
    contribution_->of(step).take();
    return counters_.missing_samples - before;
  };
  arrives(0, std::vector<float>(parameters_, 1.0f), 4);
  EXPECT_EQ(missing_of(0), 0u);
  EXPECT_EQ(missing_of(1), 4u);
  serving_ = 0;  // retired after the GPU ranks had agreed on their samples of this step
  EXPECT_EQ(missing_of(2), 4u);
  alone_ = true;
  EXPECT_EQ(missing_of(3), 0u);
}

TEST_F(ContributionOfALead, MeasuresWhileThereAreFpgaRanksAlone) {
  EXPECT_TRUE(contribution_->measures(0));
  serving_ = 0;
  EXPECT_FALSE(contribution_->measures(0)) << "the sums would wait for nothing";
}

}  // namespace
}  // namespace dovetail
