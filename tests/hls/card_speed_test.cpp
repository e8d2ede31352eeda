// What the emulated card costs by itself: a launch and a transfer, printed, and held far from
// useless.
#include "hls/card_fixture.hpp"
#include "support/clock.hpp"

namespace dovetail::fpga {
namespace {

TEST(CardSpeed, LaunchesInMicroseconds) {
  Card card(0, fixture_xclbin());
  VectorAddition addition(card, 16);
  for (int i = 0; i < 100; ++i) addition.run();
  const int launches = 5000;
  const Stopwatch watch;
  for (int i = 0; i < launches; ++i) addition.run();
  const double mean_us = watch.seconds() / launches * 1e6;
  std::printf("mean launch %.1f us\n", mean_us);
  EXPECT_LT(mean_us, 200);  // the machine may be busy; quiet it is below 20
}

TEST(CardSpeed, TransfersGigabytesPerSecond) {
  Card card(0, fixture_xclbin());
  Kernel vadd = card.kernel("vadd");
  std::vector<char> data(std::size_t{16} << 20, 1);
  Buffer buffer = card.allocate(data.size(), vadd, 0);
  const int rounds = 20;
  const auto rate = [&](auto&& transfer) {
    transfer();
    const Stopwatch watch;
    for (int i = 0; i < rounds; ++i) transfer();
    return rounds * static_cast<double>(data.size()) / watch.seconds() / 1e9;
  };
  const double written = rate([&] { buffer.write(data.data(), data.size()); });
  const double read = rate([&] { buffer.read(data.data(), data.size()); });
  std::printf("write %.1f GB/s, read %.1f GB/s, host copies included\n", written, read);
  EXPECT_GT(std::min(written, read), 0.2);
}

}  // namespace
}  // namespace dovetail::fpga
