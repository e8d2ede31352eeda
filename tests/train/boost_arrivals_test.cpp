// What arrives in time counts, with its samples; what is late does not.
#include "train/boost_arrivals.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "support/error.hpp"

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

}  // namespace
}  // namespace dovetail
