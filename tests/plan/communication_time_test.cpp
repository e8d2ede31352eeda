// What of the time that sums take is hidden.
#include "plan/communication_time.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "support/random.hpp"

namespace dovetail {
namespace {

TEST(CommunicationTime, CountsWhatLiesTogetherOnce) {
  const std::vector<BucketTrip> trips{{1, 3}, {2, 4}, {6, 7}, {6.5, 9}};
  const CommunicationTime time = communication_time(trips, 8);
  EXPECT_DOUBLE_EQ(time.total_s, 3 + 3);
  EXPECT_DOUBLE_EQ(time.exposed_s, 1);
  EXPECT_DOUBLE_EQ(time.hidden(), 5.0 / 6);
  EXPECT_DOUBLE_EQ(communication_time(trips, 9).exposed_s, 0);
  EXPECT_DOUBLE_EQ(communication_time(trips, 2.5).exposed_s, 1.5 + 3);
  EXPECT_DOUBLE_EQ(communication_time(trips, 0).hidden(), 0);
  EXPECT_EQ(communication_time({}, 1).total_s, 0);
  EXPECT_EQ(CommunicationTime{}.hidden(), 0);
}

TEST(CommunicationTime, IsThatOfClockTicks) {
  SplitMix64 random(11);
  for (int round = 0; round < 200; ++round) {
    constexpr std::uint64_t ticks = 100;
    std::vector<bool> under_way(ticks, false);
    std::vector<BucketTrip> trips;
    for (std::uint64_t i = random.below(8); i-- > 0;) {
      const std::uint64_t begin = random.below(ticks), end = begin + random.below(ticks - begin);
      trips.push_back({static_cast<double>(begin), static_cast<double>(end)});
      std::fill(under_way.begin() + static_cast<std::ptrdiff_t>(begin),
                under_way.begin() + static_cast<std::ptrdiff_t>(end), true);
    }
    const auto computed = static_cast<std::ptrdiff_t>(random.below(ticks));
    const CommunicationTime time = communication_time(trips, static_cast<double>(computed));
    EXPECT_EQ(time.total_s, std::count(under_way.begin(), under_way.end(), true));
    EXPECT_EQ(time.exposed_s, std::count(under_way.begin() + computed, under_way.end(), true));
  }
}

}  // namespace
}  // namespace dovetail
