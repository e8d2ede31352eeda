// Sums of gradients over the ranks that mpirun started, as one host and as several.
#include "comm/all_reduce.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "mpi/mpi_main.hpp"
#include "support/random.hpp"
#include "support/scoped_variable.hpp"

namespace dovetail {
namespace {

using testing::world;

std::vector<float> values_of(int rank, std::size_t count, std::uint64_t round) {
  SplitMix64 random(1000 * round + static_cast<std::uint64_t>(rank));
  std::vector<float> values(count);
  for (float& value : values) value = random.uniform(-1, 1);
  return values;
}

/// The twin: element by element, the first half of the ranks (the larger one) plus the rest.
float twin(const std::vector<std::vector<float>>& values, std::size_t i, std::size_t first,
           std::size_t count) {
  if (count == 1) return values[first][i];
  const std::size_t left = (count + 1) / 2;
  return twin(values, i, first, left) + twin(values, i, first + left, count - left);
}

std::vector<float> twin(std::size_t count, std::uint64_t round) {
  std::vector<std::vector<float>> values;
  for (int rank = 0; rank < world().size(); ++rank) values.push_back(values_of(rank, count, round));
  std::vector<float> sum(count);
  for (std::size_t i = 0; i < count; ++i) sum[i] = twin(values, i, 0, values.size());
  return sum;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return std::ranges::equal(std::as_bytes(a), std::as_bytes(b));  // of none, too
}

/// `parts` of them, of uneven lengths, the last one empty.
std::vector<ReductionPart> cut(std::size_t count, std::size_t parts) {
  std::vector<ReductionPart> result;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < parts; ++i) {
    const std::size_t end = count * (i + 1) * (i + 1) / (parts * parts);
    result.push_back({begin, end - begin});
    begin = end;
  }
  result.push_back({count, 0});
  return result;
}

std::vector<AllReduceOptions> layouts() {
  return {{},
          {.fixed_tree = true},
          {.fixed_tree = true, .ranks_per_group = 2},
          {.ranks_per_group = 1},
          {.exchange = Exchange::direct, .ranks_per_group = 1},
          {.exchange = Exchange::halving, .ranks_per_group = 1},
          {.exchange = Exchange::halving, .fixed_tree = true, .ranks_per_group = 2}};
}

TEST(AllReduceTest, IsTheTreesSumBitForBitHoweverRanksLieAndVectorsAreCut) {
  for (const AllReduceOptions& options : layouts()) {
    for (const std::size_t parts : {1U, 3U, 10U}) {
      constexpr std::size_t count = 70001;
      AllReduce reduce(world(), cut(count, parts), options);
      ASSERT_EQ(reduce.memory().size(), count);
      for (std::uint64_t round = 1; round <= 4; ++round) {
        const auto mine = values_of(world().rank(), count, round);
        std::copy(mine.begin(), mine.end(), reduce.memory().begin());
        for (std::size_t part = 0; part < reduce.parts(); ++part) {
          // Ranks need not come to their parts in the same order.
          const bool backwards = (world().rank() + static_cast<int>(round)) % 2 == 1;
          reduce.start(backwards ? reduce.parts() - 1 - part : part);
          reduce.progress();
        }
        reduce.wait();
        EXPECT_TRUE(same_bits(reduce.memory(), twin(count, round)))
            << parts << " parts in " << reduce.groups() << " groups, round " << round;
      }
    }
  }
}

TEST(AllReduceTest, ByHalvesTheBitsAreThoseOfTheDirectWayInGroupsOfAnySize) {
  constexpr std::size_t count = 5003;
  for (const int ranks_per_group : {1, 2, 3}) {
    const auto sum = [&](Exchange exchange) {
      AllReduce reduce(world(), cut(count, 3),
                       {.exchange = exchange, .ranks_per_group = ranks_per_group});
      for (std::uint64_t round = 1; round <= 2; ++round) {
        const auto mine = values_of(world().rank(), count, round);
        std::copy(mine.begin(), mine.end(), reduce.memory().begin());
        for (std::size_t part = 0; part < reduce.parts(); ++part) reduce.start(part);
        reduce.wait();
      }
      EXPECT_TRUE(world().ranks_with_other_bits(reduce.memory()).empty());
      return std::vector<float>(reduce.memory().begin(), reduce.memory().end());
    };
    EXPECT_TRUE(same_bits(sum(Exchange::halving), sum(Exchange::direct)))
        << "groups of " << ranks_per_group;
  }
}

TEST(AllReduceTest, SmallVectorsAndThoseOfNoElements) {
  for (const AllReduceOptions& options : layouts()) {
    for (const std::size_t count : {0U, 1U, 2U, 17U}) {
      AllReduce reduce(world(), {{0, count}}, options);
      const auto mine = values_of(world().rank(), count, 9);
      std::copy(mine.begin(), mine.end(), reduce.memory().begin());
      reduce.start(0);
      reduce.wait();
      EXPECT_TRUE(same_bits(reduce.memory(), twin(count, 9))) << count;
    }
  }
}

TEST(AllReduceTest, LargeSlicesAreSharedByThreads) {
  constexpr std::size_t count = 1200007;
  AllReduce reduce(world(), {{0, count}}, {.threads = 3});
  for (std::uint64_t round = 1; round <= 2; ++round) {
    const auto mine = values_of(world().rank(), count, round);
    std::copy(mine.begin(), mine.end(), reduce.memory().begin());
    reduce.start(0);
    reduce.wait();
    EXPECT_TRUE(same_bits(reduce.memory(), twin(count, round)));
  }
}

TEST(AllReduceTest, GroupsAreAsAskedFor) {
  EXPECT_EQ(AllReduce(world(), {{0, 5}}).groups(), 1);
  EXPECT_EQ(AllReduce(world(), {{0, 5}}, {.ranks_per_group = 1}).groups(), world().size());
  EXPECT_EQ(AllReduce(world(), {{0, 5}}, {.ranks_per_group = 2}).groups(),
            (world().size() + 1) / 2);
}

TEST(AllReduceTest, WithoutRoomForAWindowAllTravelsAsMessages) {
  // A file system in which nothing is ever free stands for /dev/shm in a small container.
  const ScopedVariable folder("OMPI_MCA_osc_sm_backing_directory", "/proc");
  ::testing::internal::CaptureStderr();
  constexpr std::size_t count = 1003;
  AllReduce reduce(world(), {{0, count}});
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(reduce.groups(), world().size());
  const bool shares = world().size() > 1, speaks = shares && world().is_lead();
  EXPECT_EQ(said.find("gradients travel as messages: /proc has 0 B free") != said.npos, speaks)
      << said;
  if (!speaks) {
    EXPECT_EQ(said, "");
  }
  const auto mine = values_of(world().rank(), count, 7);
  std::copy(mine.begin(), mine.end(), reduce.memory().begin());
  reduce.start(0);
  reduce.wait();
  EXPECT_TRUE(same_bits(reduce.memory(), twin(count, 7)));
  EXPECT_EQ(reduce.sent_bytes() > 0, shares);
}

TEST(AllReduceTest, TheTreeOfEightIsThatOfTwoRanksWithFourEach) {
  std::vector<std::vector<float>> values;
  std::vector<const float*> all, halves, quarters;
  constexpr std::size_t count = 3000;
  for (int i = 0; i < 8; ++i) values.push_back(values_of(i, count, 5));
  for (const auto& each : values) all.push_back(each.data());
  std::vector<float> expected(count);
  float* target = expected.data();
  tree_sum(all, count, std::span(&target, 1));
  std::vector<std::vector<float>> two(2, std::vector<float>(count)), four(4, two[0]);
  for (std::size_t i = 0; i < 2; ++i) {
    target = two[i].data();
    tree_sum(std::span(all).subspan(4 * i, 4), count, std::span(&target, 1));
    halves.push_back(two[i].data());
  }
  for (std::size_t i = 0; i < 4; ++i) {
    target = four[i].data();
    tree_sum(std::span(all).subspan(2 * i, 2), count, std::span(&target, 1));
    quarters.push_back(four[i].data());
  }
  std::vector<float> sum(count);
  target = sum.data();
  tree_sum(halves, count, std::span(&target, 1));
  EXPECT_TRUE(same_bits(sum, expected));
  tree_sum(quarters, count, std::span(&target, 1));
  EXPECT_TRUE(same_bits(sum, expected));
}

class CompressedTest : public ::testing::TestWithParam<Compression> {};
INSTANTIATE_TEST_SUITE_P(AllReduce, CompressedTest,
                         ::testing::Values(Compression::bf16, Compression::fp16, Compression::int8),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST_P(CompressedTest, ErrorsAreFedBackSoThatRunningSumsDoNotDrift) {
  for (const int ranks_per_group : {1, 2}) {
    constexpr std::size_t count = 5003, exact = 7;
    AllReduce reduce(world(), {{exact, count - exact}, {0, exact, false}},
                     {.compression = GetParam(), .ranks_per_group = ranks_per_group});
    std::vector<double> drift(count);
    double early = 0, late = 0;
    constexpr std::uint64_t rounds = 40;
    for (std::uint64_t round = 1; round <= rounds; ++round) {
      // The same values each round: without feedback each round's error would be the same.
      const auto mine = values_of(world().rank(), count, 3);
      std::copy(mine.begin(), mine.end(), reduce.memory().begin());
      reduce.start(0);
      reduce.start(1);
      reduce.wait();
      EXPECT_TRUE(world().ranks_with_other_bits(reduce.memory()).empty());
      const auto expected = twin(count, 3);
      for (std::size_t i = 0; i < count; ++i) {
        const double error =
            static_cast<double>(reduce.memory()[i]) - static_cast<double>(expected[i]);
        if (i < exact) {
          EXPECT_EQ(error, 0) << "must not be compressed";
        }
        drift[i] += error;
        (round <= rounds / 2 ? early : late) =
            std::max(round <= rounds / 2 ? early : late, std::abs(drift[i]));
      }
    }
    if (reduce.groups() == 1) {
      EXPECT_EQ(late, 0) << "nothing travels, nothing is lost";
      continue;
    }
    // A code is off by half a step at most, of which there are as many as groups, and one of the
    // sum; float32 rounds the fed back sums.
    const double unit = GetParam() == Compression::int8   ? 1.0 / 127
                        : GetParam() == Compression::bf16 ? 1.0 / 256
                                                          : 1.0 / 2048;
    const double bound = unit * 2.5 * world().size();
    EXPECT_GT(early, 0);
    EXPECT_LT(early, bound);
    EXPECT_LT(late, bound) << "it must not grow";
  }
}

TEST_P(CompressedTest, GathersTheErrorsAndGoesOnFromThem) {
  constexpr std::size_t count = 5003, exact = 7;
  for (const int ranks_per_group : {1, 2, 3}) {
    const auto make = [&] {
      return std::make_unique<AllReduce>(
          world(),
          std::vector<ReductionPart>{{exact, 900}, {0, exact, false}, {exact + 900, count - 907}},
          AllReduceOptions{.compression = GetParam(), .ranks_per_group = ranks_per_group});
    };
    const auto sum = [&](AllReduce& reduce, std::uint64_t round) {
      const auto mine = values_of(world().rank(), count, round);
      std::copy(mine.begin(), mine.end(), reduce.memory().begin());
      for (std::size_t part = 0; part < reduce.parts(); ++part) reduce.start(part);
      reduce.wait();
      return std::vector<float>(reduce.memory().begin(), reduce.memory().end());
    };
    const auto whole = make(), before = make(), after = make(), forgetful = make();
    for (const std::uint64_t round : {1, 2, 3}) {
      sum(*whole, round);
      sum(*before, round);
    }
    const std::vector<float> errors = before->gather_feedback();
    const bool travels = whole->groups() > 1;
    const auto groups = static_cast<std::size_t>(whole->groups());
    EXPECT_EQ(errors.size(), world().is_lead() && travels ? groups * count : 0);
    after->scatter_feedback(errors);
    for (const std::uint64_t round : {4, 5}) {
      const auto expected = sum(*whole, round);
      EXPECT_TRUE(same_bits(sum(*after, round), expected)) << "round " << round;
      EXPECT_EQ(same_bits(sum(*forgetful, round), expected), !travels) << "round " << round;
    }
    EXPECT_TRUE(same_bits(after->gather_feedback(), whole->gather_feedback()));
  }
}

TEST_P(CompressedTest, PartsThatAreNotCompressedMayGoByHalvesBesideThoseThatAre) {
  constexpr std::size_t count = 5003, exact = 700;
  for (const int ranks_per_group : {1, 2}) {
    const auto sum = [&](Exchange exchange) {
      AllReduce reduce(
          world(), {{exact, count - exact}, {0, exact, false}},
          {.compression = GetParam(), .exchange = exchange, .ranks_per_group = ranks_per_group});
      for (std::uint64_t round = 1; round <= 3; ++round) {
        const auto mine = values_of(world().rank(), count, round);
        std::copy(mine.begin(), mine.end(), reduce.memory().begin());
        reduce.start(1);
        reduce.start(0);
        reduce.wait();
      }
      EXPECT_TRUE(world().ranks_with_other_bits(reduce.memory()).empty());
      return std::vector<float>(reduce.memory().begin(), reduce.memory().end());
    };
    EXPECT_TRUE(same_bits(sum(Exchange::halving), sum(Exchange::direct)));
  }
}

TEST_P(CompressedTest, TakesFewerBytesAndFindsWhatIsNotFinite) {
  constexpr std::size_t count = 4096;
  AllReduce plain(world(), {{0, count}}, {.ranks_per_group = 1});
  AllReduce coded(world(), {{0, count}}, {.compression = GetParam(), .ranks_per_group = 1});
  const auto sum = [&](AllReduce& reduce, float first) {
    const auto mine = values_of(world().rank(), count, 4);
    std::copy(mine.begin(), mine.end(), reduce.memory().begin());
    if (world().rank() == world().size() - 1) reduce.memory()[0] = first;
    reduce.start(0);
    reduce.wait();
    return reduce.memory()[0];
  };
  sum(plain, 1);
  EXPECT_TRUE(std::isfinite(sum(coded, 1)));
  if (world().size() > 1) {
    const double ratio =
        static_cast<double>(coded.sent_bytes()) / static_cast<double>(plain.sent_bytes());
    EXPECT_NEAR(ratio, GetParam() == Compression::int8 ? 0.254 : 0.5, 0.01);
  }
  EXPECT_FALSE(std::isfinite(sum(coded, std::numeric_limits<float>::infinity())));
  EXPECT_FALSE(std::isfinite(sum(coded, std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isfinite(sum(coded, 1))) << "later sums are none the worse for it";
}

}  // namespace
}  // namespace dovetail
