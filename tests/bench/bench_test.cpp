// The arithmetic of the benchmarks: spreads, the link model, the work of a model, shapes as typed.
#include <gtest/gtest.h>

#include <cmath>

#include "bench/link.hpp"
#include "bench/operations.hpp"
#include "bench/training.hpp"
#include "model/zoo.hpp"
#include "support/error.hpp"

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
