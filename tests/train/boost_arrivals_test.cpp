// What arrives in time counts, with its samples; what is late does not.
#include "train/boost_arrivals.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "plan/fixture.hpp"
#include "support/error.hpp"
#include "train/boost_contribution.hpp"

namespace dovetail {
namespace {

using quant::Report;

const StepSchedule schedule{.samples = 1000, .pool = 10, .batch = 4, .contributed = 6};

ReportInbox::Arrival arrival(Report::Kind kind, std::uint64_t step, std::uint64_t begin,
                             std::uint64_t samples, const std::vector<float>& values,
                             std::uint64_t version = 0) {
  ReportInbox::Arrival result;
  result.report = {
      .kind = kind, .step = step, .begin = begin, .sums = {.version = version, .samples = samples}};
  result.payload.resize(values.size() * sizeof(float));
  std::memcpy(result.payload.data(), values.data(), result.payload.size());
  return result;
}

TEST(BoostArrivals, APoolIsCompleteWhenEverySampleIsScored) {
  BoostArrivals arrivals(schedule, 0, 2);
  arrivals.add({arrival(Report::Kind::scores, 3, 0, 4, {1, 2, 3, 4}, 9)});
  EXPECT_FALSE(arrivals.has_scores(3));
  arrivals.add({arrival(Report::Kind::scores, 3, 3, 7, {14, 5, 6, 7, 8, 9, 10}, 7)});
  ASSERT_TRUE(arrivals.has_scores(3));
  EXPECT_FALSE(arrivals.take_scores(2).has_value());
  const auto scores = arrivals.take_scores(3);
  EXPECT_EQ(scores->losses, (std::vector<float>{1, 2, 3, 14, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(scores->version, 7u);
  arrivals.add({arrival(Report::Kind::scores, 3, 0, 10, std::vector<float>(10), 9)});
  EXPECT_FALSE(arrivals.take_scores(3).has_value()) << "it comes too late";
}

TEST(BoostArrivals, NoSampleIsContributedTwice) {
  BoostArrivals arrivals(schedule, 0, 2);
  arrivals.add({arrival(Report::Kind::gradients, 1, 3, 3, {3, 4}),
                arrival(Report::Kind::gradients, 1, 0, 6, {9, 9}),
                arrival(Report::Kind::gradients, 1, 0, 3, {1, 2})});
  EXPECT_TRUE(arrivals.has_all_gradients(1));
  const auto parts = arrivals.take_gradients(1);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].values, (std::vector<float>{1, 2}));  // by place, whatever came first
  EXPECT_EQ(parts[1].values, (std::vector<float>{3, 4}));
  arrivals.add({arrival(Report::Kind::gradients, 1, 0, 3, {1, 2})});
  EXPECT_EQ(arrivals.late_gradients(), 1u);
  EXPECT_TRUE(arrivals.take_gradients(1).empty());
}

TEST(BoostArrivals, SharesThatWereCutForAnotherRosterNoLongerFit) {
  BoostArrivals arrivals(schedule, 0, 2);
  arrivals.add({arrival(Report::Kind::gradients, 1, 0, 3, {1, 2})});
  arrivals.begin_round(1);
  arrivals.add({arrival(Report::Kind::gradients, 1, 3, 3, {1, 2})});  // had not heard of it
  ReportInbox::Arrival whole = arrival(Report::Kind::gradients, 1, 0, 6, {5, 6});
  whole.report.round = 1;
  arrivals.add({whole});
  EXPECT_TRUE(arrivals.has_all_gradients(1));
  EXPECT_EQ(arrivals.take_gradients(1).size(), 1u);
}

TEST(BoostArrivals, RefusesWhatFitsNeitherScheduleNorModel) {
  BoostArrivals arrivals(schedule, 0, 2);
  EXPECT_THROW(arrivals.add({arrival(Report::Kind::scores, 3, 8, 4, {1, 2, 3, 4})}), Error);
  EXPECT_THROW(arrivals.add({arrival(Report::Kind::scores, 3, 0, 4, {1, 2, 3})}), Error);
  EXPECT_THROW(arrivals.add({arrival(Report::Kind::gradients, 1, 0, 3, {1, 2, 3})}), Error);
}

/// Mean gradient of `count` samples in float64, sample by sample.
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

}  // namespace
}  // namespace dovetail
