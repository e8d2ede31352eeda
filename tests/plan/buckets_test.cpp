// Which gradients travel together.
#include "plan/buckets.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "support/random.hpp"

namespace dovetail::plan {
namespace {

TEST(Buckets, SmallRangesWaitForOthersAndLargeOnesAreCut) {
  // Operation 1 has no parameters; operation 3 many.
  const std::vector<std::size_t> finished{0, 100, 100, 150};
  EXPECT_EQ(make_buckets(finished, 5000, 2000, 100),
            (std::vector<Bucket>{{2550, 5000, 3}, {150, 2550, 3}, {0, 150, 0}}));
  EXPECT_EQ(make_buckets(finished, 5000, 20000, 100), (std::vector<Bucket>{{0, 5000, 0}}));
  EXPECT_EQ(make_buckets(finished, 5000, 0, 100), (std::vector<Bucket>{{0, 5000, 0}}));
  EXPECT_EQ(make_buckets(finished, 200, 45, 1),
            (std::vector<Bucket>{{150, 200, 3}, {100, 150, 2}, {50, 100, 0}, {0, 50, 0}}));
}

TEST(Buckets, WhatTheFirstOperationFinishesWaitsForNothingElse) {
  const std::vector<std::size_t> finished{0, 100, 400, 900};
  EXPECT_EQ(make_buckets(finished, 1000, 2000, 1),
            (std::vector<Bucket>{{100, 1000, 1}, {0, 100, 0}}));
  EXPECT_EQ(make_buckets(finished, 1000, 3600, 1),
            (std::vector<Bucket>{{100, 1000, 1}, {0, 100, 0}}));
  EXPECT_EQ(make_buckets(finished, 1000, 3601, 1), (std::vector<Bucket>{{0, 1000, 0}}));
  EXPECT_EQ(make_buckets(finished, 1000, 500, 1),
            (std::vector<Bucket>{{400, 1000, 2}, {100, 400, 1}, {0, 100, 0}}));
  // Without parameters it finishes nothing.
  EXPECT_EQ(make_buckets({0, 0, 400}, 1000, 2000, 1), (std::vector<Bucket>{{0, 1000, 1}}));
  EXPECT_EQ(make_buckets({0}, 1000, 2000, 1), (std::vector<Bucket>{{0, 1000, 0}}));
}

TEST(Buckets, CoverEverythingOnceInTheOrderOfTheBackwardPass) {
  SplitMix64 random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::size_t> finished{0};
    const std::size_t operations = 1 + random.below(8);
    while (finished.size() < operations)
      finished.push_back(finished.back() + 16 * random.below(200));
    const std::size_t elements = finished.back() + 16 * (1 + random.below(200));
    const std::size_t wanted = random.below(3000);
    const auto buckets = make_buckets(finished, elements, wanted, 16);
    std::size_t end = elements;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      EXPECT_EQ(buckets[i].end, end);
      EXPECT_LT(buckets[i].begin, buckets[i].end);
      EXPECT_EQ(buckets[i].begin % 16, 0u);
      EXPECT_GE(buckets[i].begin, finished[buckets[i].after]) << "not finished by then";
      if (i > 0) {
        EXPECT_LE(buckets[i].after, buckets[i - 1].after);
      }
      if (wanted > 0) {
        EXPECT_LT(buckets[i].size(), 2 * wanted + 32 + wanted);
      }
      end = buckets[i].begin;
    }
    EXPECT_EQ(end, 0u);
    if (wanted == 0) {
      EXPECT_EQ(buckets.size(), 1u);
    }
  }
}

}  // namespace
}  // namespace dovetail::plan
