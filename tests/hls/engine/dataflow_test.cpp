// Host dataflow: stages in turns, deadlocks named, failures passed on.
#include "dataflow.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "stream.hpp"

namespace dovetail::hls {
namespace {

using Numbers = Stream<int, 4>;

void count_up(Numbers& out, int count) {
  for (int i = 0; i < count; ++i) out.write(i);
}

void double_all(Numbers& in, Numbers& out, int count) {
  for (int i = 0; i < count; ++i) out.write(2 * in.read());
}

void collect(Numbers& in, std::vector<int>& all, int count) {
  for (int i = 0; i < count; ++i) all.push_back(in.read());
}

std::string failure_of(Region& region) {
  try {
    region.run();
  } catch (const std::exception& failure) {
    return failure.what();
  }
  return "";
}

TEST(Dataflow, CarriesManyTokensThroughShortStreamsInOrder) {
  Numbers first, second;
  std::vector<int> all;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(collect, second, all, 1000);  // consumers may stand before producers
  DATAFLOW_STAGE(double_all, first, second, 1000);
  DATAFLOW_STAGE(count_up, first, 1000);
  DATAFLOW_END();
  ASSERT_EQ(all.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], 2 * i);
}

TEST(Dataflow, BlocksOfTokensCrossTheStreamsEnd) {
  Numbers stream;
  std::vector<int> sent(37), received(37);
  for (int i = 0; i < 37; ++i) sent[static_cast<std::size_t>(i)] = i * i;
  Region region;
  region.add("send", [&] {
    stream.write(sent.data(), 3);
    stream.write(sent.data() + 3, 34);
  });
  region.add("receive", [&] {
    received[0] = stream.read();
    stream.read(received.data() + 1, 36);
  });
  region.run();
  EXPECT_EQ(received, sent);
}

/// Sends all of one stream before any of the other, where the receiver takes them in turns: needs a
/// depth ≥ count.
template <int Depth>
std::string split_and_join(int count) {
  Stream<int, Depth> left, right;
  int joined = 0;
  Region region;
  region.add("split", [&] {
    for (int i = 0; i < count; ++i) left.write(i);
    for (int i = 0; i < count; ++i) right.write(i);
  });
  region.add("join", [&] {
    for (int i = 0; i < count; ++i) {
      joined += left.read();
      joined += right.read();
    }
  });
  return failure_of(region);
}

TEST(Dataflow, TheTokensOfALoopsTurnKeepTheirOrder) {
  // Turns of three tokens at most, some of fewer, in and out of step with the stream's end.
  for (int count = 0; count < 30; ++count) {
    Stream<int, 5> stream;
    std::vector<int> all;
    Region region;
    region.add("send", [&] {
      for (int first = 0; first < count; first += 3) {
        const int tokens[] = {first, first + 1, first + 2};
        stream.write_up_to<3>(tokens, count - first);
      }
    });
    region.add("receive", [&] {
      for (int left = count; left > 0; left -= 2) {
        int tokens[] = {-1, -1};
        stream.read_up_to<2>(tokens, left);
        all.insert(all.end(), tokens, tokens + (left < 2 ? left : 2));
      }
    });
    region.run();
    ASSERT_EQ(all.size(), static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) ASSERT_EQ(all[static_cast<std::size_t>(i)], i) << count;
  }
}

TEST(Dataflow, FindsTheDeadlockOfAShallowStreamAndNamesWhoWaits) {
  const std::string failure = split_and_join<4>(8);
  EXPECT_NE(failure.find("deadlock"), std::string::npos) << failure;
  EXPECT_NE(failure.find("split waits for room"), std::string::npos) << failure;
  EXPECT_NE(failure.find("join waits for input"), std::string::npos) << failure;
  EXPECT_EQ(split_and_join<8>(8), "");
}

TEST(Dataflow, AStageThatAsksForMoreThanIsSentIsADeadlock) {
  Numbers stream;
  std::vector<int> all;
  Region region;
  region.add("count_up", [&] { count_up(stream, 5); });
  region.add("collect", [&] { collect(stream, all, 6); });
  EXPECT_NE(failure_of(region).find("collect waits for input"), std::string::npos);
}

TEST(Dataflow, PassesAStagesFailureOnAndUnwindsTheOthers) {
  Numbers stream;
  auto held = std::make_shared<int>(1);
  Region region;
  region.add("collect", [&] {
    const std::shared_ptr<int> local = held;
    stream.read();
  });
  region.add("fail", [] { throw std::runtime_error("a stage failed"); });
  EXPECT_EQ(failure_of(region), "a stage failed");
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Dataflow, AStreamOutsideARegionNeverWaits) {
  Numbers stream;
  count_up(stream, 4);
  EXPECT_THROW(stream.write(5), std::runtime_error);
  EXPECT_EQ(stream.read(), 0);
  stream.write(5);
  std::vector<int> all;
  collect(stream, all, 4);
  EXPECT_EQ(all, (std::vector<int>{1, 2, 3, 5}));
  EXPECT_THROW(stream.read(), std::runtime_error);
}

TEST(Dataflow, RegionsNest) {
  std::vector<int> all;
  Region outer;
  outer.add("inner", [&] {
    Numbers stream;
    DATAFLOW_BEGIN();
    DATAFLOW_STAGE(count_up, stream, 20);
    DATAFLOW_STAGE(collect, stream, all, 20);
    DATAFLOW_END();
  });
  outer.run();
  EXPECT_EQ(all.size(), 20U);
}

}  // namespace
}  // namespace dovetail::hls
