// The plain twin of the statistics that kernels/conv2d_mma.cl leaves behind.
#pragma once

#include <cstddef>
#include <vector>

#include "ops/reference/batch_norm.hpp"
#include "tensor/layout.hpp"

namespace dovetail::reference {

/// Two numbers of each channel, padding lanes too.
struct TileMoments {
  std::vector<double> first, second;
};

namespace detail {

/// Where `pixels` pixels of a batch from number `first` on lie, borders left out.
inline std::vector<std::size_t> pixels_of_tile(const Layout& layout, int first, int pixels) {
  const int image = layout.height * layout.width;
  std::vector<std::size_t> places;
  for (int i = first; i < first + pixels; ++i)
    places.push_back(layout.index(i / image, i % image / layout.width, i % layout.width, 0));
  return places;
}

}  // namespace detail

/// Mean and sum of squared deviations over those pixels of a device's feature map.
inline TileMoments tile_moments(const std::vector<float>& map, const Layout& layout, int first,
                                int pixels) {
  const auto channels = static_cast<std::size_t>(layout.channel_stride);
  std::vector<double> values;  // [pixels, channels]
  for (const std::size_t at : detail::pixels_of_tile(layout, first, pixels)) {
    for (std::size_t c = 0; c < channels; ++c) values.push_back(static_cast<double>(map[at + c]));
  }
  const auto found = channel_statistics(values, channels, 1);
  TileMoments moments{found.mean, found.variance};
  for (double& each : moments.second) each *= pixels;
  return moments;
}

/// Sums of dx and of dx · (x − mean).
inline TileMoments tile_gradients(const std::vector<float>& x, const std::vector<float>& dx,
                                  const Layout& layout, const std::vector<float>& mean, int first,
                                  int pixels) {
  const auto channels = static_cast<std::size_t>(layout.channel_stride);
  TileMoments moments{std::vector<double>(channels), std::vector<double>(channels)};
  for (const std::size_t at : detail::pixels_of_tile(layout, first, pixels)) {
    for (std::size_t c = 0; c < channels; ++c) {
      const double gradient = static_cast<double>(dx[at + c]);
      moments.first[c] += gradient;
      moments.second[c] +=
          gradient * (static_cast<double>(x[at + c]) - static_cast<double>(mean[c]));
    }
  }
  return moments;
}

}  // namespace dovetail::reference
