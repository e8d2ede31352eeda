// Shares suit the speeds they are made from, and settle whatever the speeds depend on.
#include "train/balancer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "support/error.hpp"

namespace dovetail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Counts = std::vector<std::size_t>;
using Speeds = std::vector<double>;

BalanceSettings automatic() {
  BalanceSettings settings;
  settings.kind = BalanceKind::automatic;
  return settings;
}

std::size_t sum(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

double slowest(const Counts& counts, const Speeds& speeds) {
  double longest = 0;
  for (std::size_t r = 0; r < counts.size(); ++r)
    longest = std::max(longest, static_cast<double>(counts[r]) / speeds[r]);
  return longest;
}

/// Every way to give `batch` samples to the speeds, at least one each.
double shortest_by_trying(std::size_t batch, const Speeds& speeds, std::size_t first = 0) {
  if (first + 1 == speeds.size()) return static_cast<double>(batch) / speeds[first];
  double best = INFINITY;
  const std::size_t others = speeds.size() - first - 1;
  for (std::size_t mine = 1; mine + others <= batch; ++mine) {
    best = std::min(best, std::max(static_cast<double>(mine) / speeds[first],
                                   shortest_by_trying(batch - mine, speeds, first + 1)));
  }
  return best;
}

TEST(Apportion, NoOtherWholeSamplesAreDoneSooner) {
  std::mt19937 random(std::random_device{}());
  for (int trial = 0; trial < 300; ++trial) {
    Speeds speeds(1 + random() % 4);
    for (double& speed : speeds) speed = std::exp(static_cast<double>(random() % 4000) / 1000.0);
    const std::size_t batch = speeds.size() + random() % 20;
    const Counts counts = apportion(batch, speeds);
    EXPECT_EQ(sum(counts), batch);
    EXPECT_GE(*std::min_element(counts.begin(), counts.end()), 1u);
    EXPECT_DOUBLE_EQ(slowest(counts, speeds), shortest_by_trying(batch, speeds))
        << ::testing::PrintToString(speeds) << " share " << batch;
  }
}

TEST(Apportion, FollowsRatiosLimitsAndRankOrder) {
  EXPECT_THAT(apportion(128, Speeds{3, 1}), ElementsAre(96, 32));
  EXPECT_THAT(apportion(128, Speeds{0.1, 0.1, 0.2}), ElementsAre(32, 32, 64));
  EXPECT_THAT(apportion(8, Speeds{1, 1, 1}), ElementsAre(3, 3, 2));
  EXPECT_THAT(apportion(10, Speeds{1000, 1}), ElementsAre(9, 1));
  EXPECT_THAT(apportion(10, Speeds{1000, 1, 1}, Counts{4, 10, 10}), ElementsAre(4, 3, 3));
  EXPECT_THROW(apportion(2, Speeds{1, 1, 1}), Error);
  EXPECT_THROW(apportion(9, Speeds{1, 1}, Counts{4, 4}), Error);
  EXPECT_THROW(apportion(9, Speeds{1, 0}), Error);
  EXPECT_THROW(apportion(9, Speeds{1, NAN}), Error);
  EXPECT_THROW(apportion(9, Speeds{1, INFINITY}), Error);
}

TEST(Balancer, SettlesAtTheSpeedsWithoutGoingBackAndForth) {
  std::mt19937 random(std::random_device{}());
  for (int trial = 0; trial < 100; ++trial) {
    Speeds speeds(2 + random() % 7);
    for (double& speed : speeds) speed = 1 + static_cast<double>(random() % 9000) / 1000.0;
    const std::size_t batch = 100 * speeds.size() + random() % 1000;
    Balancer balancer(automatic(), batch, speeds.size());
    // Begins elsewhere than even: the first measurement is not taken whole then.
    Speeds elsewhere(speeds.size());
    for (double& each : elsewhere) each = 1 + static_cast<double>(random() % 3000) / 1000.0;
    ASSERT_TRUE(balancer.restore(apportion(batch, elsewhere)));
    const Counts goal = apportion(batch, speeds);
    Counts before = balancer.counts();
    for (int epoch = 0; epoch < 12; ++epoch) {
      const bool has_changed = balancer.update(speeds);
      const Counts& now = balancer.counts();
      EXPECT_EQ(has_changed, now != before);
      EXPECT_EQ(sum(now), batch);
      EXPECT_LE(slowest(now, speeds), slowest(before, speeds) * 1.001 + 1e-12);
      for (std::size_t r = 0; r < now.size(); ++r) {
        // Rounding aside, each goes one way and never past the goal.
        const auto distance = [&](const Counts& counts) {
          return std::abs(static_cast<double>(counts[r]) - static_cast<double>(goal[r]));
        };
        EXPECT_LE(distance(now), distance(before) + 2) << "rank " << r << " in epoch " << epoch;
      }
      before = now;
    }
    EXPECT_LE(slowest(before, speeds), (1 + Balancer::threshold) * slowest(goal, speeds));
    EXPECT_FALSE(balancer.update(speeds));
  }
}

TEST(Balancer, GoesHalfTheWay) {
  Balancer balancer(automatic(), 1000, 2);
  ASSERT_TRUE(balancer.restore(Counts{500, 500}));
  EXPECT_TRUE(balancer.update(Speeds{900, 100}));
  EXPECT_THAT(balancer.counts(), ElementsAre(700, 300));
  EXPECT_TRUE(balancer.update(Speeds{900, 100}));
  EXPECT_THAT(balancer.counts(), ElementsAre(800, 200));
}

TEST(Balancer, TakesItsFirstMeasurementWhole) {
  Balancer balancer(automatic(), 128, 2);
  EXPECT_TRUE(balancer.shares().even());
  EXPECT_FALSE(balancer.has_measured());
  EXPECT_TRUE(balancer.update(Speeds{300, 100}));
  EXPECT_THAT(balancer.counts(), ElementsAre(96, 32));
  EXPECT_TRUE(balancer.has_measured());
}

TEST(Balancer, StaysEvenForRanksThatHardlyDiffer) {
  std::mt19937 random(std::random_device{}());
  Balancer balancer(automatic(), 1024, 4);
  for (int epoch = 0; epoch < 50; ++epoch) {
    Speeds speeds(4);
    for (double& speed : speeds) speed = 1000 + static_cast<double>(random() % 8);
    EXPECT_FALSE(balancer.update(speeds));
  }
  EXPECT_TRUE(balancer.shares().even()) << "the same bits as equal shares";
}

/// A step takes a rank overhead + samples / speed seconds, give or take some noise.
TEST(Balancer, EndsWhereAllRanksNeedTheSameTimeWithOverheadAndNoise) {
  std::mt19937 random(std::random_device{}());
  for (int trial = 0; trial < 50; ++trial) {
    const std::size_t ranks = 2 + random() % 6, batch = 256 * ranks;
    Speeds speeds(ranks);
    for (double& speed : speeds) speed = 1000 * (1 + static_cast<double>(random() % 3000) / 1000.0);
    const double overhead = 0.02 * static_cast<double>(random() % 3);
    std::uniform_real_distribution<double> noise(0.99, 1.01);
    Balancer balancer(automatic(), batch, ranks);
    const auto seconds = [&](std::size_t rank, double jitter) {
      return jitter * (overhead + static_cast<double>(balancer.counts()[rank]) / speeds[rank]);
    };
    for (int epoch = 0; epoch < 25; ++epoch) {
      Speeds measured;
      for (std::size_t r = 0; r < ranks; ++r)
        measured.push_back(static_cast<double>(balancer.counts()[r]) / seconds(r, noise(random)));
      balancer.update(measured);
      EXPECT_EQ(sum(balancer.counts()), batch);
    }
    std::vector<double> times;
    for (std::size_t r = 0; r < ranks; ++r) times.push_back(seconds(r, 1));
    EXPECT_LT(imbalance(times), 0.06) << "of " << ranks << " ranks with " << overhead << " s each";
  }
}

TEST(Balancer, KeepsARankThatIsFullAtWhatItHas) {
  Balancer balancer(automatic(), 100, 2);
  const Counts even = balancer.counts();
  ASSERT_TRUE(balancer.update(Speeds{900, 100}));
  balancer.take_back(even, std::vector<std::uint8_t>{1, 0});
  EXPECT_EQ(balancer.counts(), even);
  for (int epoch = 0; epoch < 5; ++epoch) EXPECT_FALSE(balancer.update(Speeds{900, 100}));
  EXPECT_TRUE(balancer.update(Speeds{100, 900}));
  EXPECT_LT(balancer.counts()[0], 50u);
}

TEST(Balancer, RestoresWhatFitsAlone) {
  Balancer balancer(automatic(), 100, 3);
  for (const Counts& wrong : {Counts{50, 50}, Counts{50, 50, 0}, Counts{50, 30, 30},
                              Counts{~std::size_t{0}, 50, 51}, Counts{}}) {
    EXPECT_FALSE(balancer.restore(wrong));
    EXPECT_TRUE(balancer.shares().even());
  }
  EXPECT_TRUE(balancer.restore(Counts{50, 30, 20}));
  EXPECT_THAT(balancer.counts(), ElementsAre(50, 30, 20));
  EXPECT_EQ(balancer.shares().of(100, 1), (Share{50, 30}));
}

TEST(Balancer, FixedRatiosNeverChange) {
  Balancer balancer(parse_balance("1:2.5:0.5"), 128, 3);
  EXPECT_FALSE(balancer.adapts());
  EXPECT_THAT(balancer.counts(), ElementsAre(32, 80, 16));
  EXPECT_FALSE(Balancer(automatic(), 128, 1).adapts()) << "nobody to share with";
  EXPECT_FALSE(Balancer({}, 128, 2).adapts());
}

TEST(Balancer, SaysWhatCannotBe) {
  const auto failure = [](const auto& body) -> std::string {
    try {
      body();
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(failure([] { Balancer(parse_balance("1:2"), 128, 3); }),
              HasSubstr("--balance 1:2 is of 2 GPU ranks, not of 3"));
  EXPECT_THAT(failure([] { Balancer(automatic(), 2, 3); }),
              HasSubstr("3 GPU ranks a sample at least, but a step has 2"));
  for (const char* text : {"", "fast", "1:", ":1", "1::2", "1:x", "1;2", "nan:1"})
    EXPECT_THAT(failure([&] { parse_balance(text); }), HasSubstr("unknown --balance")) << text;
  for (const char* text : {"1:0", "0", "-1:2"}) {
    EXPECT_THAT(failure([&] { parse_balance(text); }), HasSubstr("leaves a rank without samples"))
        << text;
  }
  for (const char* text : {"equal", "auto", "3:1", "1:2.5:0.5", "4"})
    EXPECT_EQ(to_string(parse_balance(text)), text);
}

TEST(Balancer, ImbalanceIsTheSlowestBeyondTheMean) {
  EXPECT_DOUBLE_EQ(imbalance(std::vector<double>{1, 3}), 0.5);
  EXPECT_DOUBLE_EQ(imbalance(std::vector<double>{2, 2, 2}), 0);
  EXPECT_DOUBLE_EQ(imbalance(std::vector<double>{}), 0);
}

}  // namespace
}  // namespace dovetail
