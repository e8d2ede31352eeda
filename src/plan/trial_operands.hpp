// What the trials of kernels share: random operands, and how far a result may be from its twin.
#pragma once

#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/direction.hpp"
#include "ops/reference/round_operand.hpp"
#include "support/random.hpp"
#include "support/text.hpp"

namespace dovetail::plan {

inline std::vector<float> random_values(std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = random.uniform(-1, 1);
  return values;
}

/// A target that shows what is left unwritten.
inline opencl::Buffer poisoned(opencl::Device& device, std::size_t count) {
  const std::vector<float> values(count, std::numeric_limits<float>::quiet_NaN());
  return device.upload(std::span<const float>(values));
}

/// The same for a layer's product, of so many elements as x, y and weight have.
inline opencl::Buffer poisoned_result(opencl::Device& device, Direction which, std::size_t x,
                                      std::size_t y, std::size_t weight) {
  switch (which) {
    case Direction::forward:
      return poisoned(device, y);
    case Direction::input_gradient:
      return poisoned(device, x);
    default:
      return poisoned(device, weight);
  }
}

/// 0, 1, 2 … of `count`.
inline std::vector<int> all_of(int count) {
  std::vector<int> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

/// Up to three of `count`: the first, the middle and the last.
inline std::vector<int> spots_of(int count, int most = 3) {
  if (most == 1 || count == 1) return {count - 1};
  if (most == 2 || count == 2) return {0, count - 1};
  return {0, count / 2, count - 1};
}

/// What is wrong with a result of these values, in float32 against float64; or nothing. The bound
/// leaves room for the sums' own rounding alone: an operand in a coarser format is found.
inline std::string fault_of(const std::vector<double>& found, const std::vector<double>& expected,
                            ComputeFormat format) {
  const double bound = format == ComputeFormat::float32 ? 5e-5 : 1e-4;
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += (found[i] - expected[i]) * (found[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  const double error = std::sqrt(difference / norm);
  if (error <= bound) return "";  // false for NaN: an element that was not written
  return fmt::format("its result is {} from the twin's", error);
}

}  // namespace dovetail::plan
