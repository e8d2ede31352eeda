// What the emulated card costs by itself, launches and transfers: a benchmark, to be run by hand on
// a quiet machine. No figure of an FPGA.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "experimental/xrt_xclbin.h"
#include "hls/card_fixture.hpp"
#include "support/clock.hpp"
#include "xrt/xrt_bo.h"
#include "xrt/xrt_device.h"
#include "xrt/xrt_kernel.h"

namespace dovetail::fpga {
namespace {

struct Spread {
  double mean = 0, median = 0, late = 0;  // late: 99 of 100 take no longer
};

template <typename Call>
Spread seconds_of(int rounds, Call&& call) {
  std::vector<double> seconds;
  for (int i = 0; i < rounds; ++i) {
    const Stopwatch watch;
    call();
    seconds.push_back(watch.seconds());
  }
  std::sort(seconds.begin(), seconds.end());
  const std::size_t count = seconds.size();
  return {std::accumulate(seconds.begin(), seconds.end(), 0.0) / static_cast<double>(count),
          seconds[count / 2], seconds[count * 99 / 100]};
}

void time_launches() {
  Card card(0, fixture_xclbin());
  VectorAddition addition(card, 16);
  for (int i = 0; i < 100; ++i) addition.run();
  const Spread launch = seconds_of(20000, [&] { addition.run(); });
  std::printf("launch: mean %.1f us, median %.1f us, 99 %% within %.1f us\n", launch.mean * 1e6,
              launch.median * 1e6, launch.late * 1e6);
}

template <typename Call>
void print_rate(const char* what, std::size_t bytes, Call&& transfer) {
  transfer();
  const Spread took = seconds_of(40, transfer);
  const double gigabytes = static_cast<double>(bytes) / 1e9;
  std::printf("%-32s mean %.1f GB/s, median %.1f GB/s\n", what, gigabytes / took.mean,
              gigabytes / took.median);
}

/// Between the two copies of a buffer, as XRT's sync moves them.
void time_synchronisation(std::size_t bytes) {
  const xrt::xclbin xclbin(fixture_xclbin().string());
  xrt::device device(0);
  const xrt::kernel vadd(device, device.load_xclbin(xclbin), "vadd");
  xrt::bo buffer(device, bytes, xrt::bo::flags::normal,
                 static_cast<xrt::memory_group>(vadd.group_id(0)));
  std::fill_n(buffer.map<char*>(), bytes, char{1});
  print_rate("sync to the card:", bytes, [&] { buffer.sync(XCL_BO_SYNC_BO_TO_DEVICE); });
  print_rate("sync from the card:", bytes, [&] { buffer.sync(XCL_BO_SYNC_BO_FROM_DEVICE); });
}

/// The same with a copy from and to the caller's memory.
void time_transfers(std::size_t bytes) {
  Card card(0, fixture_xclbin());
  std::vector<char> data(bytes, 1);
  Buffer buffer = card.allocate(bytes, card.kernel("vadd"), 0);
  print_rate("write, its host copy included:", bytes, [&] { buffer.write(data.data(), bytes); });
  print_rate("read, its host copy included:", bytes, [&] { buffer.read(data.data(), bytes); });
}

}  // namespace
}  // namespace dovetail::fpga

int main() {
  using namespace dovetail::fpga;
  constexpr std::size_t bytes = std::size_t{16} << 20;
  use_emulated_cards(1);
  time_launches();
  time_synchronisation(bytes);
  time_transfers(bytes);
}
