// The twin of kernels/record_sums.cl.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dovetail::reference {

struct SumsRecord {
  std::vector<float> rest;
  std::uint32_t first_not_finite = 0xffffffffu;  // of the gradients; that: none
};

/// sums: `gradients` floats and the rest.
inline SumsRecord record_sums(const std::vector<float>& sums, std::size_t gradients) {
  SumsRecord record;
  for (std::size_t i = gradients; i-- > 0;) {
    if (!std::isfinite(sums[i])) record.first_not_finite = static_cast<std::uint32_t>(i);
  }
  record.rest.assign(sums.begin() + static_cast<std::ptrdiff_t>(gradients), sums.end());
  return record;
}

}  // namespace dovetail::reference
