// The twin of kernels/magnitudes.cl.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tensor/layout.hpp"
#include "tensor/magnitude_bins.hpp"

namespace dovetail::reference {

struct SeenMagnitudes {
  std::array<std::uint64_t, MagnitudeBins::count> counts{};
  float largest = 0;
};

/// By the bins' definition, in float64.
inline std::size_t magnitude_bin(double magnitude) {
  constexpr int last = static_cast<int>(MagnitudeBins::count) - 1;
  constexpr double in_octave = 1 << MagnitudeBins::mantissa_bits;
  if (std::isnan(magnitude) || std::isinf(magnitude)) return last;
  if (magnitude < std::ldexp(1.0, -24)) return 0;
  const int octave = std::ilogb(magnitude);
  const double within = std::floor((std::ldexp(magnitude, -octave) - 1) * in_octave);
  return static_cast<std::size_t>(
      std::min(last, (octave + 24) * static_cast<int>(in_octave) + static_cast<int>(within) + 1));
}

inline SeenMagnitudes magnitudes(const Layout& layout, const std::vector<float>& x, int batch,
                                 int every) {
  SeenMagnitudes seen;
  for (int n = 0; n < batch; ++n) {
    for (int row = 0; row < layout.height; ++row) {
      for (int column = 0; column < layout.width; ++column) {
        for (int c = 0; c < layout.channels; ++c) {
          const float magnitude = std::abs(x[layout.index(n, row, column, c)]);
          if (!std::isnan(magnitude)) seen.largest = std::max(seen.largest, magnitude);
          if (row % every == n % every) ++seen.counts[magnitude_bin(double{magnitude})];
        }
      }
    }
  }
  return seen;
}

}  // namespace dovetail::reference
