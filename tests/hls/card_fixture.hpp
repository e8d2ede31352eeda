// An emulated card with the fixture kernels, and what several tests need around it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "device/xrt/card.hpp"
#include "support/error.hpp"
#include "support/scoped_variable.hpp"

namespace dovetail::fpga {

inline std::filesystem::path fixture_xclbin() {
  use_emulated_cards(1);
  return find_xclbin("card_fixture", Backend::emulated);
}

/// Buffers for one launch of `vadd`, and the launch.
struct VectorAddition {
  VectorAddition(Card& card, int elements)
      : count(elements),
        bytes(static_cast<std::size_t>(elements) * sizeof(std::int32_t)),
        kernel(card.kernel("vadd")),
        a(card.allocate(bytes, kernel, 0)),
        b(card.allocate(bytes, kernel, 1)),
        sum(card.allocate(bytes, kernel, 2)) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(count));
    std::iota(values.begin(), values.end(), 0);
    a.write(values.data(), bytes);
    std::fill(values.begin(), values.end(), 5);
    b.write(values.data(), bytes);
  }

  void run() { kernel.run(a, b, sum, count); }

  /// How many elements of the sum on the card are not i + 5.
  int wrong() {
    std::vector<std::int32_t> result(static_cast<std::size_t>(count));
    sum.read(result.data(), bytes);
    int errors = 0;
    for (std::int32_t i = 0; i < count; ++i) errors += result[static_cast<std::size_t>(i)] != i + 5;
    return errors;
  }

  std::int32_t count;
  std::size_t bytes;
  Kernel kernel;
  Buffer a, b, sum;
};

inline int entries(const std::filesystem::path& folder) {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
  return count;
}

}  // namespace dovetail::fpga
