// Shares of simulated ranks against what ratios and speeds ask for in closed form.
#include "app/scaling_shares.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "support/error.hpp"
#include "support/random.hpp"

namespace dovetail::app {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Ranks that need so many seconds for nothing, and so many more for each sample.
bench::StepProfile profile_of(const std::vector<std::pair<double, double>>& ranks) {
  bench::StepProfile profile;
  for (const auto& [fixed_s, each_s] : ranks)
    profile.compute.push_back({{10, fixed_s + 10 * each_s}, {100, fixed_s + 100 * each_s}});
  return profile;
}

TEST(ScalingShares, OfEqualRanksAreEqual) {
  EXPECT_THAT(simulated_shares({}, profile_of({{0, 1}}), 100, 4), IsEmpty());
  EXPECT_THAT(simulated_shares(parse_balance("auto"), profile_of({{1, 1}}), 100, 4),
              ElementsAre(25, 25, 25, 25));
}

TEST(ScalingShares, OfRatiosGoRound) {
  const bench::StepProfile two = profile_of({{0, 1}, {0, 1}});
  EXPECT_THAT(simulated_shares(parse_balance("3:1"), two, 80, 4), ElementsAre(30, 10, 30, 10));
  EXPECT_THAT(simulated_shares(parse_balance("3:1"), two, 70, 3), ElementsAre(30, 10, 30));
  EXPECT_THAT(simulated_shares(parse_balance("3:1"), two, 20, 1), ElementsAre(20));
  EXPECT_THROW(simulated_shares(parse_balance("3:1"), two, 3, 4), UsageError);
}

TEST(ScalingShares, FoundBySpeedLeaveNobodyWaiting) {
  SplitMix64 random(std::random_device{}());
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<std::pair<double, double>> ranks;
    double speeds = 0;  // samples a second once all have begun
    double begun = 0;   // samples that they would have made until then
    const std::size_t count = 2 + random.below(3);
    for (std::size_t rank = 0; rank < count; ++rank) {
      ranks.emplace_back(random.uniform(0, 0.1f), random.uniform(1e-3f, 4e-3f));
      speeds += 1 / ranks.back().second;
      begun += ranks.back().first / ranks.back().second;
    }
    constexpr std::size_t batch = 1000;
    const bench::StepProfile profile = profile_of(ranks);
    const std::vector<double> shares =
        simulated_shares(parse_balance("auto"), profile, batch, ranks.size());
    EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), 0.0), batch);
    // All done at the same time t: the sum of (t - fixed) / each over the ranks is the batch.
    const double least_s = (batch + begun) / speeds;
    double slowest_s = 0;
    for (std::size_t rank = 0; rank < shares.size(); ++rank)
      slowest_s = std::max(slowest_s, profile.compute_s(shares[rank], rank));
    EXPECT_GE(slowest_s, least_s * (1 - 1e-9));
    // The balancer leaves alone what would gain less than its threshold; a sample is 0.4 %.
    EXPECT_LE(slowest_s, least_s * (1 + 2 * Balancer::threshold + 0.01));
  }
}

}  // namespace
}  // namespace dovetail::app
