// The arithmetic of offsets between clocks, on exchanges with random delays.
#include "support/clock_offset.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <vector>

namespace dovetail {
namespace {

/// Exchanges with a clock that is `offset` ahead, over messages that take `least` ns and, at
/// random, up to `noise` more, each way its own.
class Exchanges : public ::testing::Test {
 protected:
  std::int64_t upto(std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(0, most)(random_);
  }
  std::vector<ClockExchange> make(std::int64_t offset, std::int64_t least, std::int64_t noise) {
    std::vector<ClockExchange> exchanges;
    std::int64_t now = upto(1'000'000'000);
    for (int i = 0; i < 30; ++i) {
      ClockExchange exchange;
      exchange.sent = now;
      exchange.theirs_first = (now += least + upto(noise)) + offset;
      exchange.theirs_last = (now += upto(5000)) + offset;
      exchange.received = now += least + upto(noise);
      exchanges.push_back(exchange);
      now += upto(100'000);
    }
    return exchanges;
  }

  const unsigned seed_ = std::random_device()();
  std::mt19937_64 random_{seed_};
};

TEST_F(Exchanges, TheTrueOffsetLiesWithinTheUncertainty) {
  for (int trial = 0; trial < 500; ++trial) {
    SCOPED_TRACE(testing::Message() << "seed " << seed_ << ", trial " << trial);
    const std::int64_t offset = upto(2'000'000'000'000) - 1'000'000'000'000;
    const auto exchanges = make(offset, upto(20'000), upto(100'000));
    const auto found = same_instant(exchanges);
    ASSERT_TRUE(found);
    EXPECT_LE(std::abs(found->offset() - offset), found->uncertainty);
    EXPECT_EQ(found->mine, exchanges.back().received);

    // No worse than the best single one, and that holds its promise too.
    const SameInstant single = least_round_trip(exchanges);
    EXPECT_LE(found->uncertainty, single.uncertainty + 1);
    EXPECT_LE(std::abs(single.offset() - offset), single.uncertainty + 1);
    const auto best = std::ranges::min_element(exchanges, {}, &ClockExchange::round_trip);
    EXPECT_EQ(single.uncertainty, best->round_trip() / 2);
  }
}

TEST_F(Exchanges, ManyNarrowWhatOneLeaves) {
  // Some messages are quick one way, others the other way: together they are quick both ways.
  const std::int64_t offset = 123'456'789;
  const std::vector<ClockExchange> exchanges{{1000, 1010 + offset, 1010 + offset, 9000},
                                             {20000, 28000 + offset, 28000 + offset, 28010}};
  const auto found = same_instant(exchanges);
  ASSERT_TRUE(found);
  EXPECT_LE(found->uncertainty, 10);
  EXPECT_LE(std::abs(found->offset() - offset), 10);
  EXPECT_GE(least_round_trip(exchanges).uncertainty, 4000);
}

TEST_F(Exchanges, ContradictionsAreNoticed) {
  std::vector<ClockExchange> exchanges = make(5000, 100, 1000);
  for (ClockExchange& late : make(5'000'000, 100, 1000)) exchanges.push_back(late);
  EXPECT_FALSE(same_instant(exchanges));
  EXPECT_FALSE(same_instant({}));
}

TEST_F(Exchanges, ALineGoesThroughBothMomentsAndStaysFlatBeyond) {
  for (int trial = 0; trial < 200; ++trial) {
    SCOPED_TRACE(testing::Message() << "seed " << seed_ << ", trial " << trial);
    const std::int64_t offset = upto(1'000'000'000'000), drift = upto(200'000) - 100'000;
    const SameInstant first{1'000'000, 1'000'000 + offset, 0};
    const SameInstant last{61'000'000'000, 61'000'000'000 + offset + drift, 0};
    const ClockLine line(first, last);
    EXPECT_EQ(line.theirs_at(first.mine), first.theirs);
    EXPECT_EQ(line.theirs_at(last.mine), last.theirs);
    EXPECT_EQ(line.mine_at(first.theirs), first.mine);
    EXPECT_EQ(line.mine_at(last.theirs), last.mine);
    EXPECT_EQ(line.theirs_at(0), offset);
    EXPECT_EQ(line.theirs_at(100'000'000'000), 100'000'000'000 + offset + drift);
    std::int64_t before = line.mine_at(first.theirs);
    for (int i = 0; i < 50; ++i) {
      const std::int64_t mine = first.mine + i * (last.mine - first.mine) / 50;
      EXPECT_LE(std::abs(line.mine_at(line.theirs_at(mine)) - mine), 2);
      EXPECT_LE(before, line.mine_at(line.theirs_at(mine)));
      before = line.mine_at(line.theirs_at(mine));
    }
  }
  EXPECT_EQ(ClockLine().theirs_at(42), 42);
  EXPECT_EQ(ClockLine().mine_at(42), 42);
}

}  // namespace
}  // namespace dovetail
