// Shares cover every sample exactly once, in order, and are as even as the weights ask.
#include "shards/share.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "shards/test_files.hpp"

namespace dovetail {
namespace {

TEST(Share, CoversEverythingOnceAndDiffersByAtMostOne) {
  for (std::size_t ranks = 1; ranks <= 9; ++ranks) {
    for (std::size_t count : {0, 1, 2, 7, 8, 9, 64, 127, 60000}) {
      std::size_t next = 0;
      std::size_t least = count;
      std::size_t most = 0;
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        const Share part = share(count, rank, ranks);
        EXPECT_EQ(part.begin, next);
        next += part.count;
        least = std::min(least, part.count);
        most = std::max(most, part.count);
      }
      EXPECT_EQ(next, count);
      EXPECT_LE(most - least, 1u);
    }
  }
}

TEST(Share, FollowsWeights) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> weights(1 + random() % 8);
    double total = 0;
    for (double& weight : weights) total += weight = (random() % 1000) / 7.0;
    if (total == 0) continue;
    const std::size_t count = random() % 1000;
    std::size_t next = 0;
    for (std::size_t rank = 0; rank < weights.size(); ++rank) {
      const Share part = share(count, rank, weights);
      EXPECT_EQ(part.begin, next);
      next += part.count;
      const double exact = static_cast<double>(count) * weights[rank] / total;
      EXPECT_LE(std::abs(static_cast<double>(part.count) - exact), 1.0 + 1e-9);
      if (weights[rank] == 0) {
        EXPECT_EQ(part.count, 0u);
      }
    }
    EXPECT_EQ(next, count);
  }
  EXPECT_EQ(share(100, 1, std::vector<double>{3, 1}), (Share{75, 25}));
}

TEST(Share, ManyCountsAreSharedByOneLaw) {
  std::mt19937 random(std::random_device{}());
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<double> weights(1 + random() % 6);
    for (double& weight : weights) weight = 1 + static_cast<double>(random() % 300);
    const Shares even(weights.size()), weighted(weights);
    EXPECT_TRUE(even.even());
    EXPECT_FALSE(weighted.even());
    EXPECT_EQ(weighted.ranks(), weights.size());
    const std::size_t most = random() % 200;
    for (std::size_t rank = 0; rank < weights.size(); ++rank) {
      std::size_t largest = 0, largest_even = 0;
      for (std::size_t count = 0; count <= most; ++count) {
        EXPECT_EQ(even.of(count, rank), share(count, rank, weights.size()));
        EXPECT_EQ(weighted.of(count, rank), share(count, rank, weights));
        largest = std::max(largest, weighted.of(count, rank).count);
        largest_even = std::max(largest_even, even.of(count, rank).count);
      }
      EXPECT_EQ(weighted.largest(most, rank), largest);
      EXPECT_EQ(even.largest(most, rank), largest_even);
    }
    // Whole numbers are kept for the number of samples that they add up to.
    const auto total =
        static_cast<std::size_t>(std::accumulate(weights.begin(), weights.end(), 0.0));
    for (std::size_t rank = 0; rank < weights.size(); ++rank)
      EXPECT_EQ(weighted.of(total, rank).count, static_cast<std::size_t>(weights[rank]));
  }
  EXPECT_THROW(Shares(std::vector<double>{1, -1}), Error);
  EXPECT_THROW(Shares(std::vector<double>{}), Error);
}

TEST(Share, ChunksOfARankAreABranchOfTheTree) {
  for (const std::size_t chunks : {1U, 2U, 4U, 8U, 32U}) {
    for (std::size_t ranks = 1; ranks <= chunks; ++ranks) {
      std::size_t next = 0;
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        const Share mine = chunks_of(chunks, rank, ranks);
        EXPECT_EQ(mine.begin, next);
        EXPECT_TRUE(std::has_single_bit(mine.count));
        EXPECT_EQ(mine.begin % mine.count, 0u);
        next += mine.count;
      }
      EXPECT_EQ(next, chunks);
    }
  }
  EXPECT_EQ(chunks_of(4, 2, 3), (Share{2, 2}));  // as tree_sum adds three: (0 + 1) + 2
  EXPECT_EQ(chunks_of(8, 1, 2), (Share{4, 4}));
}

TEST(Share, RefusesNonsense) {
  EXPECT_THROW(chunks_of(4, 0, 5), Error);
  EXPECT_THROW(chunks_of(6, 0, 2), Error);
  EXPECT_THROW(chunks_of(0, 0, 1), Error);
  EXPECT_THROW(share(10, 3, 3), Error);
  EXPECT_THROW(share(10, 0, std::vector<double>{}), Error);
  EXPECT_THROW(share(10, 0, std::vector<double>{0, 0}), Error);
  EXPECT_THROW(share(10, 0, std::vector<double>{1, -1}), Error);
  EXPECT_THROW(share(10, 0, std::vector<double>{1, NAN}), Error);
  EXPECT_THROW(share(10, 0, std::vector<double>{1, INFINITY}), Error);
}

}  // namespace
}  // namespace dovetail
