// Copies past the caches are copies.
#include "support/stream_copy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace dovetail {
namespace {

TEST(StreamCopy, WritesWhatItIsToldAndNothingBeside) {
  std::mt19937 random(std::random_device{}());
  const auto below = [&](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
  };
  std::vector<unsigned char> source(4000);
  for (unsigned char& each : source) each = static_cast<unsigned char>(below(256));
  for (int i = 0; i < 500; ++i) {
    const std::size_t bytes = i < 100 ? static_cast<std::size_t>(i) : below(3000);
    const std::size_t from = below(100), to = below(100);
    std::vector<unsigned char> target(4000);
    for (unsigned char& each : target) each = static_cast<unsigned char>(below(256));
    std::vector<unsigned char> expected = target;
    std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(from), bytes,
                expected.begin() + static_cast<std::ptrdiff_t>(to));
    stream_copy(target.data() + to, source.data() + from, bytes);
    publish_stream_copies();
    ASSERT_EQ(target, expected) << bytes << " bytes from " << from << " to " << to;
  }
}

}  // namespace
}  // namespace dovetail
