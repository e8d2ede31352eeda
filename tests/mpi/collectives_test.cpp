// Collectives and messages on the ranks that mpirun started.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "mpi/mpi_main.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

using testing::world;

constexpr int tag = 7;

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

TEST(Collectives, EveryRankKnowsItsPlace) {
  EXPECT_EQ(world().hosts().size(), static_cast<std::size_t>(world().size()));
  EXPECT_FALSE(world().host().empty());
  // The ranks of this test run on one host.
  EXPECT_EQ(world().local_rank(), world().rank());
  EXPECT_EQ(world().local_size(), world().size());
}

TEST(Collectives, SumsEveryTypeOverRanks) {
  const int n = world().size();
  const int rank_sum = n * (n - 1) / 2;
  EXPECT_EQ(world().all_reduce_sum(static_cast<float>(world().rank()) + 0.5F),
            static_cast<float>(rank_sum) + 0.5F * n);
  EXPECT_EQ(world().all_reduce_sum(world().rank() + 0.25), rank_sum + 0.25 * n);
  EXPECT_EQ(world().all_reduce_sum(std::int32_t{world().rank()}), rank_sum);
  EXPECT_EQ(world().all_reduce_sum(std::int64_t{1} << 40), (std::int64_t{1} << 40) * n);
  EXPECT_EQ(world().all_reduce_sum(std::uint64_t{1} << 60),
            (std::uint64_t{1} << 60) * static_cast<unsigned>(n));
}

TEST(Collectives, FindsTheMaximum) {
  EXPECT_EQ(world().all_reduce_max(world().rank()), world().size() - 1);
  std::vector<double> values{-1.0 - world().rank(), 1.0 * world().rank()};
  world().all_reduce_max(values);
  EXPECT_EQ(values, (std::vector<double>{-1.0, world().size() - 1.0}));
}

TEST(Collectives, SumsOfGradientsAreRightAndTheSameBitsOnEveryRankAndInEveryRun) {
  // Sizes on both sides of the thresholds at which MPI changes its algorithm; the largest is the
  // cnn's 1.7 MB.
  for (std::size_t count : {1U, 3U, 1000U, 20000U, 421642U}) {
    std::vector<double> expected(count);
    for (int rank = 0; rank < world().size(); ++rank) {
      const auto part = random_values(count, 100 + static_cast<unsigned>(rank));
      for (std::size_t i = 0; i < count; ++i) expected[i] += part[i];
    }
    const auto mine = random_values(count, 100 + static_cast<unsigned>(world().rank()));
    std::vector<float> first = mine;
    world().all_reduce_sum(first);
    double worst = 0;
    for (std::size_t i = 0; i < count; ++i)
      worst = std::max(worst, std::abs(first[i] - expected[i]));
    EXPECT_LT(worst, 1e-5) << count << " values";
    EXPECT_TRUE(world().ranks_with_other_bits(first).empty()) << count << " values";
    for (int run = 0; run < 3; ++run) {
      std::vector<float> again = mine;
      world().all_reduce_sum(again);
      EXPECT_EQ(std::memcmp(again.data(), first.data(), count * sizeof(float)), 0)
          << count << " values";
    }
  }
}

TEST(Collectives, UnevenSampleCountsGiveTheMeanOverAllSamples) {
  // Rank r has r + 1 samples with the values r, r + 1, …; sums and the count travel in one vector.
  const int samples = world().rank() + 1;
  std::vector<float> sum_and_count(2);
  for (int i = 0; i < samples; ++i) sum_and_count[0] += static_cast<float>(world().rank() + i);
  sum_and_count[1] = static_cast<float>(samples);
  world().all_reduce_sum(sum_and_count);
  double total = 0;
  int count = 0;
  for (int rank = 0; rank < world().size(); ++rank) {
    for (int i = 0; i <= rank; ++i, ++count) total += rank + i;
  }
  EXPECT_FLOAT_EQ(sum_and_count[0] / sum_and_count[1], static_cast<float>(total / count));
}

TEST(Collectives, BroadcastsFromEveryRoot) {
  for (int root = 0; root < world().size(); ++root) {
    std::vector<std::int32_t> values(1000, world().rank() == root ? root + 1 : -1);
    world().broadcast(values, root);
    EXPECT_EQ(values, std::vector<std::int32_t>(1000, root + 1));
    std::string text = world().rank() == root ? "weights of rank " + std::to_string(root)
                                              : "something longer than that";
    world().broadcast_text(text, root);
    EXPECT_EQ(text, "weights of rank " + std::to_string(root));
  }
}

TEST(Collectives, GathersValuesAndTexts) {
  struct Evaluation {
    int version;
    double accuracy;
  };
  const auto all = world().all_gather(Evaluation{world().rank(), 0.5 * world().rank()});
  ASSERT_EQ(all.size(), static_cast<std::size_t>(world().size()));
  for (int rank = 0; rank < world().size(); ++rank) {
    EXPECT_EQ(all[static_cast<std::size_t>(rank)].version, rank);
    EXPECT_EQ(all[static_cast<std::size_t>(rank)].accuracy, 0.5 * rank);
  }
  // Texts of different lengths, the first of them empty.
  const auto texts =
      world().all_gather_text(std::string(static_cast<std::size_t>(world().rank()) * 3, 'x'));
  ASSERT_EQ(texts.size(), all.size());
  for (std::size_t rank = 0; rank < texts.size(); ++rank)
    EXPECT_EQ(texts[rank], std::string(rank * 3, 'x'));
}

TEST(Collectives, SplitsByColour) {
  // Even and odd ranks, numbered backwards.
  const auto part = world().split(world().rank() % 2, -world().rank());
  ASSERT_TRUE(part);
  const int members = (world().size() + 1 - world().rank() % 2) / 2;
  EXPECT_EQ(part->size(), members);
  EXPECT_EQ(part->rank(), members - 1 - world().rank() / 2);
  EXPECT_EQ(part->all_reduce_sum(world().rank() % 2), members * (world().rank() % 2));

  const auto lead = world().split(world().is_lead() ? std::optional(0) : std::nullopt, 0);
  EXPECT_EQ(lead.has_value(), world().is_lead());
}

TEST(Collectives, NamesTheRankWhoseBitsDiffer) {
  std::vector<float> values(1000, 0.25F);
  EXPECT_NO_THROW(world().expect_same_bits(values, "the parameters"));
  if (world().size() == 1) return;
  const int odd = world().size() - 1;
  // -0 equals 0, but has other bits.
  values[500] = world().rank() == odd ? -0.0F : 0.0F;
  EXPECT_EQ(world().ranks_with_other_bits(values), std::vector<int>{odd});
  try {
    world().expect_same_bits(values, "the parameters after epoch 3");
    ADD_FAILURE() << "a difference went unnoticed";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the parameters after epoch 3 differ"),
              std::string::npos);
    EXPECT_NE(std::string(error.what()).find("rank " + std::to_string(odd) + " ("),
              std::string::npos)
        << error.what();
  }
}

TEST(Collectives, NamesTheMinorityEvenWhenItIsTheLead) {
  if (world().size() < 3) GTEST_SKIP() << "needs a majority";
  const std::vector<float> values(10, world().rank() == 0 ? 1.0F : 2.0F);
  EXPECT_EQ(world().ranks_with_other_bits(values), std::vector<int>{0});
}

TEST(Messages, TravelAroundTheRing) {
  const int next = (world().rank() + 1) % world().size();
  const int previous = (world().rank() + world().size() - 1) % world().size();
  std::vector<double> received(50000);
  Request incoming = world().ireceive(received, previous, tag);
  world().send(std::vector<double>(50000, world().rank()), next, tag);
  incoming.wait();
  EXPECT_EQ(received, std::vector<double>(50000, previous));
}

TEST(Messages, OfAnotherSizeAreErrors) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  for (std::size_t sent : {3U, 5U}) {
    if (world().rank() == 1) world().send(std::vector<int>(sent), 0, tag);
    if (world().rank() == 0) {
      std::vector<int> values(4);
      EXPECT_THROW(world().receive(values, 1, tag), Error) << sent << " sent";
    }
  }
}

TEST(Messages, ToARankThatIsNotThereAreErrors) {
  EXPECT_THROW(world().send(std::vector{1}, world().size(), tag), Error);
}

}  // namespace
}  // namespace dovetail
