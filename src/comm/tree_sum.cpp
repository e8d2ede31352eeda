// Adds in blocks that stay in the first-level cache.
#include <algorithm>
#include <array>
#include <cstring>

#include "comm/all_reduce.hpp"

namespace dovetail {
namespace {

constexpr std::size_t block = 1024;
using Block = std::array<float, block>;

/// sum[i] = the tree's sum of values[r][first + i].
void sum_block(std::span<const float* const> values, std::size_t first, std::size_t count,
               float* sum) {
  const auto at = [&](std::size_t r) { return values[r] + first; };
  if (values.size() == 1) {
    std::memcpy(sum, at(0), count * sizeof(float));
  } else if (values.size() == 2) {
    const float *a = at(0), *b = at(1);
    for (std::size_t i = 0; i < count; ++i) sum[i] = a[i] + b[i];
  } else {
    const std::size_t left = (values.size() + 1) / 2;
    Block right;
    sum_block(values.first(left), first, count, sum);
    sum_block(values.subspan(left), first, count, right.data());
    for (std::size_t i = 0; i < count; ++i) sum[i] += right[i];
  }
}

}  // namespace

void tree_sum(std::span<const float* const> values, std::size_t count,
              std::span<float* const> results) {
  Block sum;
  for (std::size_t first = 0; first < count; first += block) {
    const std::size_t size = std::min(block, count - first);
    sum_block(values, first, size, sum.data());
    for (float* result : results) std::memcpy(result + first, sum.data(), size * sizeof(float));
  }
}

}  // namespace dovetail
