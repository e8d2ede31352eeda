// The number formats compiled as C++14, as kernels are, give the bits that the host's C++ gives.
#include "numeric/cxx14_formats.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace dovetail {
namespace {

TEST(Cxx14, EveryFormatHasTheSameBits) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    float numbers[cxx14_numbers];
    for (float& number : numbers) {
      const auto mantissa = static_cast<float>(static_cast<std::int32_t>(random())) * 0x1p-31F;
      number = std::ldexp(mantissa, static_cast<int>(random() % 40) - 20);
    }
    const auto key = static_cast<std::uint32_t>(random());
    std::uint64_t kernel[cxx14_outputs], here[cxx14_outputs];
    formats_in_cxx14(numbers, key, kernel);
    formats_as_here(numbers, key, here);
    for (int i = 0; i < cxx14_outputs; ++i) ASSERT_EQ(kernel[i], here[i]) << i << ", seed " << seed;
  }
}

}  // namespace
}  // namespace dovetail
