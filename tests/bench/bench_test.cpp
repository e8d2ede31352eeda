// The arithmetic of the benchmarks: spreads, the link model, the work of a model, shapes as typed.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "bench/link.hpp"
#include "bench/operations.hpp"
#include "bench/scaling.hpp"
#include "bench/training.hpp"
#include "device/test_device.hpp"
#include "model/zoo.hpp"
#include "support/error.hpp"
#include "support/random.hpp"

namespace dovetail::bench {
namespace {

TEST(Spread, TakesTheMedianAndTheTenthsOfUnsortedSeconds) {
  std::vector<double> seconds;
  for (int i = 0; i <= 100; ++i) seconds.push_back((i * 37) % 101);
  const Timing timing = spread(seconds);
  EXPECT_DOUBLE_EQ(timing.median_s, 50);
  EXPECT_DOUBLE_EQ(timing.low_s, 10);
  EXPECT_DOUBLE_EQ(timing.high_s, 90);
  EXPECT_EQ(timing.samples, 101);
  EXPECT_DOUBLE_EQ(spread({4, 2}).median_s, 3);
  EXPECT_THROW(spread({}), Error);
}

TEST(LinkModel, FindsLatencyAndBandwidthThatMadeTheTimes) {
  std::vector<Message> messages;
  for (std::size_t bytes = 8; bytes <= (64u << 20); bytes *= 8) {
    const double seconds = 2e-6 + static_cast<double>(bytes) / 5e9;
    messages.push_back({bytes, {seconds, seconds, seconds, 1}});
  }
  const LinkModel model = fit(messages);
  EXPECT_NEAR(model.latency_s, 2e-6, 1e-12);
  EXPECT_NEAR(model.bytes_per_s, 5e9, 1e3);
  EXPECT_LT(model.worst_error, 1e-9);
}

TEST(LinkModel, SaysHowFarItIsOff) {
  const LinkModel model = fit(
      {{8, {1e-6, 1e-6, 1e-6, 1}}, {1024, {3e-6, 3e-6, 3e-6, 1}}, {2048, {3e-6, 3e-6, 3e-6, 1}}});
  EXPECT_GT(model.worst_error, 0.05);
  EXPECT_THROW(fit({{8, {1e-6, 1e-6, 1e-6, 1}}}), Error);
}

TEST(ModelWork, CountsTheProductsOfTheZoo) {
  const ModelWork mlp = work_of(make_model("mlp", {1, 28, 28}, 10));
  const double first = 784.0 * 256, rest = 256.0 * 128 + 128 * 10;
  EXPECT_DOUBLE_EQ(mlp.forward, 2 * (first + rest));
  EXPECT_DOUBLE_EQ(mlp.backward, 2 * first + 4 * rest);
  const ModelWork cnn = work_of(make_model("cnn", {1, 28, 28}, 10));
  const double conv1 = 28.0 * 28 * 32 * 9, conv2 = 14.0 * 14 * 64 * 32 * 9;
  const double dense = 3136.0 * 128 + 128 * 10;
  EXPECT_DOUBLE_EQ(cnn.forward, 2 * (conv1 + conv2 + dense));
  EXPECT_DOUBLE_EQ(cnn.backward, 2 * conv1 + 4 * (conv2 + dense));
}

TEST(ModelWork, CountsWhatAPlansKernelsCompute) {
  const Model model = make_model("cnn", {1, 28, 28}, 10);
  const InputStatistics statistics{{0.5f}, {0.25f}};
  const auto work_in = [&](const PlanOptions& options) {
    return work_of(Plan(testing::test_device(), model, statistics, options));
  };
  const ModelWork whole = work_of(model);
  const ModelWork with_pools = work_in({.training = true, .variant = Variant::cpu});
  EXPECT_DOUBLE_EQ(with_pools.forward, whole.forward);
  // Both gradients of the second convolution visit one pixel of four.
  EXPECT_DOUBLE_EQ(whole.backward - with_pools.backward, 0.75 * 4 * (14.0 * 14 * 64 * 32 * 9));
  for (const PlanOptions& options :
       {PlanOptions{.training = true, .variant = Variant::cpu, .fuse_maps = false},
        PlanOptions{.training = true, .variant = Variant::gpu}})
    EXPECT_DOUBLE_EQ(work_in(options).backward, whole.backward);
}

StepProfile even_profile() {
  return {.compute = {{{32, 0.010}, {64, 0.018}}},
          .jitter = {1.0},
          .bucket_bytes = {4'000'000, 1'000'000},
          .bucket_ready = {0.5, 1.0},
          .update_s = 0.001,
          .in_host = {}};
}

TEST(StepProfile, GoesLinearlyBetweenAndBeyondWhatWasMeasured) {
  const StepProfile profile = even_profile();
  EXPECT_DOUBLE_EQ(profile.compute_s(32), 0.010);
  EXPECT_DOUBLE_EQ(profile.compute_s(48), 0.014);
  EXPECT_DOUBLE_EQ(profile.compute_s(16), 0.006);
  EXPECT_DOUBLE_EQ(profile.compute_s(128), 0.034);
  StepProfile three = profile;
  three.compute[0].push_back({128, 0.018});
  EXPECT_DOUBLE_EQ(three.compute_s(96), 0.018);
  EXPECT_DOUBLE_EQ(three.compute_s(64), 0.018);
  EXPECT_THROW(StepProfile{}.compute_s(1), Error);
}

TEST(Simulation, OneRankComputesAndUpdates) {
  const SimulatedStep step = simulate(even_profile(), {}, {.samples_per_rank = 64}, 1);
  EXPECT_NEAR(step.compute_s, 0.018, 1e-12);
  EXPECT_EQ(step.imbalance_s, 0);
  EXPECT_EQ(step.exposed_s, 0);
  EXPECT_NEAR(step.step_s, 0.019, 1e-12);
  EXPECT_EQ(step.bound, "update");
}

TEST(Simulation, BucketsQueueForTheNetwork) {
  // Two hosts: each bucket travels twice by half: its bytes at 1 GB/s, and two latencies.
  const Network network{.latency_s = 1e-4, .bytes_per_s = 1e9, .gap_s = 1e-5};
  const Scale scale{.ranks = 2, .ranks_per_host = 1, .samples_per_rank = 64};
  SimulatedStep step = simulate(even_profile(), network, scale, 1);
  // The first is ready at 9 ms and done at 13.2 ms, before the second one's 18 ms, 1.2 ms more.
  EXPECT_NEAR(step.exposed_s, 0.0012, 1e-12);
  EXPECT_NEAR(step.latency_s, 4e-4, 1e-12);
  EXPECT_NEAR(step.transfer_s, 5e-3, 1e-12);
  EXPECT_EQ(step.bound, "bandwidth");
  // A tenth of the bandwidth: the first one is done at 49.2 ms, the second one 10.2 ms later.
  Network slow = network;
  slow.bytes_per_s = 1e8;
  step = simulate(even_profile(), slow, scale, 1);
  EXPECT_NEAR(step.exposed_s, 0.009 + 0.0402 + 0.0102 - 0.018, 1e-12);
  // Seven hosts: each sends six messages, one after the other.
  step = simulate(even_profile(), network, {7, 1, 64}, 1);
  EXPECT_NEAR(step.latency_s, 2 * 2 * (1e-4 + 5 * 1e-5), 1e-12);
  EXPECT_NEAR(step.transfer_s, 2 * 5e-3 * 6 / 7, 1e-12);
}

TEST(Simulation, ManyHostsSumByHalves) {
  const Network network{.latency_s = 1e-3, .bytes_per_s = 1e10, .gap_s = 1e-4};
  // 1,024: ten partners, twice, for each of two buckets of 5 MB in all.
  SimulatedStep step = simulate(even_profile(), network, {1024, 1, 64}, 1);
  EXPECT_NEAR(step.latency_s, 2 * 2 * 10 * 1e-3, 1e-12);
  EXPECT_NEAR(step.transfer_s, 2 * 5e-4 * 1023 / 1024, 1e-12);
  EXPECT_EQ(step.bound, "latency");
  // 1,000: nine, and before them a neighbour, to which all goes.
  step = simulate(even_profile(), network, {1000, 1, 64}, 1);
  EXPECT_NEAR(step.latency_s, 2 * 2 * 10 * 1e-3, 1e-12);
  EXPECT_NEAR(step.transfer_s, 2 * 5e-4 * (511.0 / 512 + 1), 1e-12);
  // 24, whose slices are large: directly.
  step = simulate(even_profile(), network, {24, 1, 64}, 1);
  EXPECT_NEAR(step.latency_s, 2 * 2 * (1e-3 + 22 * 1e-4), 1e-12);
  // A host's ranks have a slice each.
  step = simulate(even_profile(), network, {24 * 100, 100, 64}, 1);
  EXPECT_NEAR(step.latency_s, 2 * 2 * 5 * 1e-3, 1e-12);
}

TEST(Simulation, RanksOfAHostSumInItsMemory) {
  StepProfile profile = even_profile();
  profile.in_host = {.latency_s = 1e-5, .bytes_per_s = 2e9};
  const Network network{.latency_s = 1e-4, .bytes_per_s = 1e9, .gap_s = 1e-4};
  const SimulatedStep four = simulate(profile, network, {4, 4, 64}, 1);
  EXPECT_NEAR(four.in_host_s, 2e-5 + 2.5e-3, 1e-12);
  EXPECT_EQ(four.latency_s, 0);
  const SimulatedStep eight = simulate(profile, network, {8, 4, 64}, 1);
  EXPECT_NEAR(eight.in_host_s, four.in_host_s, 1e-15);
  EXPECT_NEAR(eight.latency_s, 2 * 2 * 1e-4, 1e-12);
}

TEST(Simulation, TheSlowestRankIsWaitedFor) {
  StepProfile profile = even_profile();
  profile.jitter = {0.9, 1.1};
  const Network fast{.latency_s = 0, .bytes_per_s = 1e18, .gap_s = 0};
  const SimulatedStep two = simulate(profile, fast, {2, 1, 64}, 3, 20000);
  // One of two is slow in three steps of four.
  EXPECT_NEAR(two.compute_s, 0.018, 2e-5);
  EXPECT_NEAR(two.compute_s + two.imbalance_s, 0.018 * (0.75 * 1.1 + 0.25 * 0.9), 3e-5);
  const SimulatedStep many = simulate(profile, fast, {64, 1, 64}, 3, 2000);
  EXPECT_NEAR(many.compute_s + many.imbalance_s, 0.018 * 1.1, 1e-9);
  EXPECT_EQ(many.bound, "imbalance");
}

TEST(Simulation, SmallBatchesMayBeWhatBounds) {
  // 1 ms whatever the batch, and 0.1 ms a sample: in batches of 10 one takes 0.2 ms.
  StepProfile profile = even_profile();
  profile.compute = {{{2, 0.0012}, {5, 0.0015}, {10, 0.002}}};
  profile.update_s = 1e-4;
  EXPECT_NEAR(profile.waste_s(2), 0.0012 - 2 * 0.0002, 1e-15);
  EXPECT_NEAR(profile.waste_s(10), 0, 1e-15);
  EXPECT_NEAR(profile.waste_s(20), 0, 1e-15);
  profile.compute.front().push_back({40, 0.04});  // that large batches are slower is no waste
  EXPECT_NEAR(profile.waste_s(2), 0.0012 - 2 * 0.0002, 1e-15);
  EXPECT_NEAR(profile.waste_s(40), 0, 1e-15);
  const Network network{.latency_s = 1e-6, .bytes_per_s = 1e12, .gap_s = 1e-9};
  const SimulatedStep strong = simulate(profile, network, {4, 1, 2.5}, 1);
  EXPECT_NEAR(strong.waste_s, 0.00125 - 2.5 * 0.0002, 1e-15);
  EXPECT_EQ(strong.bound, "few samples a rank");
  EXPECT_EQ(simulate(profile, network, {4, 1, 10}, 1).bound, "update");
}

TEST(Simulation, UnequalRanksAndSharesTakeTheSlowestOnesTime) {
  // In closed form: rank r needs a_r + b_r n_r, its sums follow, one bucket at the end.
  SplitMix64 random(std::random_device{}());
  const auto between = [&](double low, double high) {
    return low + (high - low) * static_cast<double>(random.uniform());
  };
  for (int trial = 0; trial < 20; ++trial) {
    StepProfile profile{.compute = {},
                        .jitter = {1.0},
                        .bucket_bytes = {4'000'000},
                        .bucket_ready = {1.0},
                        .update_s = between(0, 1e-3),
                        .in_host = {}};
    const std::size_t kinds = 1 + random.below(3);
    std::vector<double> fixed_s, each_s;
    for (std::size_t kind = 0; kind < kinds; ++kind) {
      fixed_s.push_back(between(0, 0.01));
      each_s.push_back(between(1e-5, 1e-3));
      const auto time = [&](double samples) {
        return std::pair(samples, fixed_s[kind] + each_s[kind] * samples);
      };
      profile.compute.push_back({time(10), time(20), time(70)});
    }
    Scale scale{.ranks = 2 + static_cast<int>(random.below(6)), .ranks_per_host = 1};
    double slowest = 0, sum = 0;
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(scale.ranks); ++rank) {
      scale.samples.push_back(static_cast<double>(1 + random.below(100)));
      const double its_s = fixed_s[rank % kinds] + each_s[rank % kinds] * scale.samples.back();
      slowest = std::max(slowest, its_s);
      sum += its_s;
    }
    const Network network{.latency_s = 1e-4, .bytes_per_s = between(1e8, 1e10), .gap_s = 1e-5};
    const double hosts = scale.ranks;
    const double sums_s =
        2 * (1e-4 + (hosts - 2) * 1e-5) + 2 * (hosts - 1) / hosts * 4e6 / network.bytes_per_s;
    const SimulatedStep step = simulate(profile, network, scale, random.below(1000));
    EXPECT_NEAR(step.step_s, slowest + sums_s + profile.update_s, 1e-12);
    EXPECT_NEAR(step.compute_s, sum / scale.ranks, 1e-12);
    EXPECT_NEAR(step.imbalance_s, slowest - sum / scale.ranks, 1e-12);
    EXPECT_NEAR(step.exposed_s, sums_s, 1e-12);
  }
}

TEST(Network, IsReadAsTyped) {
  const Network two = parse_network("1.5:25");
  EXPECT_DOUBLE_EQ(two.latency_s, 1.5e-6);
  EXPECT_DOUBLE_EQ(two.bytes_per_s, 25e9);
  EXPECT_DOUBLE_EQ(two.gap_s, 1.5e-6);
  EXPECT_DOUBLE_EQ(parse_network("1:2:0.25").gap_s, 0.25e-6);
  for (const char* text : {"", "1", "1:", ":1", "1:2:3:4", "fast", "1:-2", "1:2x", "0:1"})
    EXPECT_THROW(parse_network(text), UsageError) << text;
}

TEST(Shapes, AreReadAsTyped) {
  const GemmShape gemm = parse_gemm("64x784x256");
  EXPECT_EQ(gemm.rows, 64);
  EXPECT_EQ(gemm.in, 784);
  EXPECT_EQ(gemm.out, 256);
  const ConvShape conv = parse_conv("32x64x14x128");
  EXPECT_EQ(conv.in, 32);
  EXPECT_EQ(conv.out, 64);
  EXPECT_EQ(conv.extent, 14);
  EXPECT_EQ(conv.batch, 128);
}

TEST(Shapes, ThatAreNoneAreRefused) {
  for (const char* text : {"", "64", "64x64", "64x64x", "64x64x64x64", "64x0x64", "64x-1x64",
                           "axbxc", "64x64x64 ", "99999999999x1x1"}) {
    EXPECT_THROW(parse_gemm(text), UsageError) << '"' << text << '"';
  }
  EXPECT_THROW(parse_conv("1x2x3"), UsageError);
}

TEST(Floor, IsTheLongerOfArithmeticAndMemory) {
  const Ceilings ceilings{.flops = 1e12, .copy_bytes_per_s = 1e11};
  EXPECT_DOUBLE_EQ(floor_s(ceilings, 1e12, 1e9), 1);
  EXPECT_DOUBLE_EQ(floor_s(ceilings, 1e9, 1e11), 1);
}

}  // namespace
}  // namespace dovetail::bench
