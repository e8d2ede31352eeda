// The twin of kernels/accumulate.cl.
#pragma once

#include <cstddef>
#include <vector>

namespace dovetail::reference {

/// x + sum, rounded once.
inline std::vector<float> add(const std::vector<float>& x, const std::vector<float>& sum) {
  std::vector<float> result(sum.size());
  for (std::size_t i = 0; i < sum.size(); ++i) result[i] = x[i] + sum[i];
  return result;
}

inline std::vector<float> scale(const std::vector<float>& x, float factor) {
  std::vector<float> result(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) result[i] = x[i] * factor;
  return result;
}

}  // namespace dovetail::reference
