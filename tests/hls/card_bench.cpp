// What the emulated card costs by itself, launches and transfers: a benchmark, to be run by hand on
// a quiet machine. No figure of an FPGA.
#include <cstdio>
#include <vector>

#include "hls/card_fixture.hpp"
#include "support/clock.hpp"

namespace dovetail::fpga {
namespace {

void time_launches(Card& card) {
  VectorAddition addition(card, 16);
  for (int i = 0; i < 100; ++i) addition.run();
  const int launches = 5000;
  const Stopwatch watch;
  for (int i = 0; i < launches; ++i) addition.run();
  std::printf("mean launch %.1f us\n", watch.seconds() / launches * 1e6);
}

void time_transfers(Card& card) {
  const Kernel vadd = card.kernel("vadd");
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
}

}  // namespace
}  // namespace dovetail::fpga

int main() {
  using namespace dovetail::fpga;
  use_emulated_cards(1);
  Card card(0, fixture_xclbin());
  time_launches(card);
  time_transfers(card);
}
