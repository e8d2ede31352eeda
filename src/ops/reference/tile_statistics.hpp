// The plain twin of the statistics that kernels/conv2d_mma.cl leaves behind.
#pragma once

#include <vector>

#include "ops/reference/batch_norm.hpp"
#include "tensor/layout.hpp"

namespace dovetail::reference {

/// Means, and sums of squared deviations, of all channels, padding lanes too, over `pixels` pixels
/// of a device's feature map from number `first` of its batch on, borders left out.
struct TileMoments {
  std::vector<double> means, deviations;
};

inline TileMoments tile_moments(const std::vector<float>& map, const Layout& layout, int first,
                                int pixels) {
  const int image = layout.height * layout.width;
  std::vector<double> values;  // [pixels, channels]
  for (int pixel = first; pixel < first + pixels; ++pixel) {
    const std::size_t at =
        layout.index(pixel / image, pixel % image / layout.width, pixel % layout.width, 0);
    for (int c = 0; c < layout.channel_stride; ++c)
      values.push_back(static_cast<double>(map[at + static_cast<std::size_t>(c)]));
  }
  const auto found = channel_statistics(values, static_cast<std::size_t>(layout.channel_stride), 1);
  TileMoments moments{found.mean, found.variance};
  for (double& each : moments.deviations) each *= pixels;
  return moments;
}

}  // namespace dovetail::reference
