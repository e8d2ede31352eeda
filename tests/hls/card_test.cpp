// The emulated card through the real XRT library: a launch there and back.
#include "device/xrt/card.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "support/clock.hpp"

namespace dovetail::fpga {
namespace {

TEST(Card, AddsVectors) {
  use_emulated_cards(1);
  Card card(0, find_xclbin("card_fixture", Backend::emulated));
  Kernel vadd = card.kernel("vadd");
  const int count = 1000;
  std::vector<std::int32_t> a(count), b(count, 5), sum(count);
  std::iota(a.begin(), a.end(), 0);
  const std::size_t bytes = count * sizeof(std::int32_t);
  Buffer a_buffer = card.allocate(bytes, vadd, 0);
  Buffer b_buffer = card.allocate(bytes, vadd, 1);
  Buffer sum_buffer = card.allocate(bytes, vadd, 2);
  a_buffer.write(a.data(), bytes);
  b_buffer.write(b.data(), bytes);
  vadd.run(a_buffer, b_buffer, sum_buffer, count);
  sum_buffer.read(sum.data(), bytes);
  for (int i = 0; i < count; ++i) ASSERT_EQ(sum[i], i + 5);
  Stopwatch watch;
  for (int i = 0; i < 2000; ++i) vadd.run(a_buffer, b_buffer, sum_buffer, 16);
  std::printf("launch: %.2f us\n", watch.seconds() / 2000 * 1e6);
}

}  // namespace
}  // namespace dovetail::fpga
