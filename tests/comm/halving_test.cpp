// Recursive halving among groups that are played one after the other, without MPI.
#include "comm/halving.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <map>
#include <random>

#include "comm/all_reduce.hpp"
#include "support/error.hpp"
#include "support/random.hpp"

namespace dovetail {
namespace {

/// A group that sums a slice, and what it has sent.
struct Group {
  std::vector<float> values;
  std::vector<HalvingRound> rounds;
  std::size_t step = 0, sent = 0;
  bool has_sent = false;  // in this step
};

/// Messages under way, by sender and receiver.
using Network = std::map<std::pair<std::size_t, std::size_t>, std::deque<std::vector<float>>>;

/// One look of a group at its round; whether it came further.
bool look(std::size_t number, Group& group, Network& network) {
  if (group.step == group.rounds.size()) return false;
  const HalvingRound& round = group.rounds[group.step];
  if (round.sends && !group.has_sent) {
    const auto from = group.values.begin() + static_cast<std::ptrdiff_t>(round.sends->begin);
    network[{number, round.partner}].emplace_back(
        from, from + static_cast<std::ptrdiff_t>(round.sends->count));
    group.sent += round.sends->count;
  }
  group.has_sent = true;
  if (round.receives) {
    auto& waiting = network[{round.partner, number}];
    if (waiting.empty()) return false;
    const std::vector<float> message = std::move(waiting.front());
    waiting.pop_front();
    EXPECT_EQ(message.size(), round.receives->count) << "of what its partner sends";
    for (std::size_t i = 0; i < message.size(); ++i) {
      float& value = group.values[round.receives->begin + i];
      value = round.adds ? value + message[i] : message[i];
    }
  }
  group.has_sent = false;
  ++group.step;
  return true;
}

/// All groups sum `values`, in a random order of looks.
std::vector<Group> summed(const std::vector<std::vector<float>>& values, SplitMix64& random) {
  std::vector<Group> groups;
  for (std::size_t i = 0; i < values.size(); ++i)
    groups.push_back({values[i], halving_rounds({0, values[i].size()}, i, values.size())});
  Network network;
  std::vector<std::size_t> order(groups.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    for (const std::size_t i : order) moved = look(i, groups[i], network) || moved;
  }
  for (const auto& [ends, messages] : network)
    EXPECT_TRUE(messages.empty()) << ends.first << " to " << ends.second;
  return groups;
}

TEST(Halving, IsTheTreesSumBitForBitInEveryGroup) {
  SplitMix64 random(std::random_device{}());
  std::vector<std::size_t> numbers = {100, 255, 256, 257, 384};
  for (std::size_t groups = 2; groups <= 40; ++groups) numbers.push_back(groups);
  for (const std::size_t groups : numbers) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, 700 + random.below(100)}) {
      std::vector<std::vector<float>> values(groups, std::vector<float>(count));
      std::vector<const float*> summands;
      for (auto& each : values) {
        for (float& value : each) value = random.uniform(-1, 1);
        summands.push_back(each.data());
      }
      std::vector<float> expected(count);
      float* target = expected.data();
      tree_sum(summands, count, std::span(&target, 1));
      for (const Group& group : summed(values, random)) {
        ASSERT_EQ(group.step, group.rounds.size()) << "of " << groups << " groups";
        ASSERT_TRUE(std::ranges::equal(std::as_bytes(std::span(group.values)),
                                       std::as_bytes(std::span(expected))))
            << groups << " groups, " << count << " elements";
      }
    }
  }
}

TEST(Halving, TakesTwoRoundsForEachDoublingOfTheGroupsAndSendsTheSliceTwiceAtMost) {
  SplitMix64 random(std::random_device{}());
  constexpr std::size_t count = 4096;
  for (const std::size_t groups : {2U, 8U, 12U, 64U, 100U}) {
    const std::vector<std::vector<float>> values(groups, std::vector<float>(count, 1));
    const auto levels = static_cast<std::size_t>(std::bit_width(groups)) - 1;
    const bool is_power = std::has_single_bit(groups);
    for (const Group& group : summed(values, random)) {
      EXPECT_LE(group.rounds.size(), 2 * (levels + (is_power ? 0 : 1)));
      EXPECT_LE(group.sent, (is_power ? 2 : 3) * count);
    }
  }
}

TEST(Exchange, IsDirectAmongFewGroupsAndWhereAllWouldTravelOnceMore) {
  for (const std::size_t groups : {2U, 3U, 8U, 15U})
    EXPECT_EQ(exchange_for(groups, 1), Exchange::direct) << groups;
  for (const std::size_t groups : {16U, 64U, 1024U})
    EXPECT_EQ(exchange_for(groups, std::size_t{1} << 30), Exchange::halving) << groups;
  // 24 groups have 4 levels: a slice of 18 * 16 KiB at most.
  EXPECT_EQ(exchange_for(24, 18 * 16384), Exchange::halving);
  EXPECT_EQ(exchange_for(24, 18 * 16384 + 1), Exchange::direct);
  EXPECT_EQ(exchange_for(100, 1 << 20), Exchange::halving);
}

TEST(Exchange, IsReadAsTyped) {
  EXPECT_EQ(parse_exchange("auto"), Exchange::automatic);
  EXPECT_EQ(parse_exchange("direct"), Exchange::direct);
  EXPECT_EQ(parse_exchange("halving"), Exchange::halving);
  EXPECT_THROW(parse_exchange("ring"), UsageError);
}

}  // namespace
}  // namespace dovetail
