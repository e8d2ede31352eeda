// The order of an epoch: a permutation, a function of seed and epoch alone, local where windows are
// asked for.
#include "shards/epoch_order.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "shards/samples.hpp"
#include "shards/share.hpp"
#include "shards/test_files.hpp"

namespace dovetail {
namespace {

std::vector<std::size_t> all(const EpochOrder& order) {
  std::vector<std::size_t> samples(order.size());
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = order[i];
  return samples;
}

TEST(EpochOrder, IsAPermutationForAnySizeAndWindow) {
  for (const std::size_t samples : {0u, 1u, 2u, 63u, 64u, 65u, 640u, 1000u, 4099u}) {
    for (const std::size_t window : {0u, 1u, 2u, 3u, 16u, 1000u}) {
      auto order =
          all(EpochOrder({.samples = samples, .seed = 5, .epoch = 2, .window_slabs = window}));
      std::ranges::sort(order);
      std::vector<std::size_t> expected(samples);
      std::iota(expected.begin(), expected.end(), 0u);
      EXPECT_EQ(order, expected) << samples << " samples, window " << window;
    }
  }
}

TEST(EpochOrder, DiffersByEpochAndSeedAndRepeats) {
  const auto order = [](std::uint64_t seed, std::uint64_t epoch, std::size_t window) {
    return all(EpochOrder({.samples = 1000, .seed = seed, .epoch = epoch, .window_slabs = window}));
  };
  for (const std::size_t window : {0u, 3u}) {
    std::set<std::vector<std::size_t>> seen;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
        seen.insert(order(seed, epoch, window));
        EXPECT_EQ(order(seed, epoch, window), order(seed, epoch, window));
      }
    }
    EXPECT_EQ(seen.size(), 20u);
  }
}

// These values are part of the promise: a checkpoint resumes with the same order on another machine
// or compiler.
TEST(EpochOrder, GoldenValues) {
  EXPECT_THAT(all(EpochOrder({.samples = 10, .seed = 42, .epoch = 0})),
              testing::ElementsAre(4, 6, 7, 0, 9, 5, 1, 2, 3, 8));
  EXPECT_THAT(all(EpochOrder({.samples = 10, .seed = 42, .epoch = 1})),
              testing::ElementsAre(0, 3, 4, 6, 1, 5, 9, 2, 7, 8));
  auto windowed = all(EpochOrder({.samples = 300, .seed = 7, .epoch = 3, .window_slabs = 2}));
  windowed.resize(10);
  EXPECT_THAT(windowed, testing::ElementsAre(114, 105, 127, 70, 106, 99, 72, 78, 71, 257));
}

TEST(EpochOrder, RanksTogetherSeeTheSameStepsWhateverTheirNumber) {
  const EpochOrder order({.samples = 1000, .seed = 9, .epoch = 4});
  constexpr std::size_t batch = 128;
  for (std::size_t begin = 0; begin < 1000; begin += batch) {
    const std::size_t count = std::min(batch, 1000 - begin);
    std::vector<std::size_t> alone;
    for (std::size_t i = 0; i < count; ++i) alone.push_back(order[begin + i]);
    for (std::size_t ranks = 1; ranks <= 4; ++ranks) {
      std::vector<std::size_t> together;
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        // Each rank computes the order for itself.
        const EpochOrder own({.samples = 1000, .seed = 9, .epoch = 4});
        const Share part = share(count, rank, ranks);
        for (std::size_t i = 0; i < part.count; ++i)
          together.push_back(own[begin + part.begin + i]);
      }
      EXPECT_EQ(together, alone);
    }
  }
}

TEST(EpochOrder, AWindowHoldsItsSlabsWholeAndNoOthers) {
  constexpr std::size_t window = 4;
  constexpr std::size_t samples = slab_samples * window * 5;
  const EpochOrder order({.samples = samples, .seed = 1, .epoch = 0, .window_slabs = window});
  std::set<std::size_t> first_window;
  for (std::size_t begin = 0; begin < samples; begin += window * slab_samples) {
    std::set<std::size_t> slabs;
    for (std::size_t i = 0; i < window * slab_samples; ++i) {
      slabs.insert(order[begin + i] / slab_samples);
    }
    EXPECT_EQ(slabs.size(), window);
    if (begin == 0) first_window = slabs;
  }
  EXPECT_NE(first_window, (std::set<std::size_t>{0, 1, 2, 3}));  // the slabs are shuffled, too
}

// How often each sample stands at each place over many epochs: a shuffle that favours places would
// show.
TEST(EpochOrder, FavoursNoPlace) {
  constexpr std::size_t samples = 32;
  constexpr int epochs = 4000;
  std::vector<std::vector<int>> counts(samples, std::vector<int>(samples));
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const EpochOrder order(
        {.samples = samples, .seed = 11, .epoch = static_cast<std::uint64_t>(epoch)});
    for (std::size_t position = 0; position < samples; ++position)
      ++counts[position][order[position]];
  }
  double chi_squared = 0;
  constexpr double expected = double{epochs} / samples;
  for (const auto& row : counts) {
    for (const int count : row) chi_squared += (count - expected) * (count - expected) / expected;
  }
  // (32 - 1)² = 961 degrees of freedom: mean 961, standard deviation 44.
  EXPECT_NEAR(chi_squared, 961, 5 * 44);
}

}  // namespace
}  // namespace dovetail
