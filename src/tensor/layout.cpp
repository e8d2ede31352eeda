// Index arithmetic of feature maps.
#include "tensor/layout.hpp"

namespace dovetail {

std::size_t Layout::index(int n, int row, int column, int c) const {
  return static_cast<std::size_t>(n) * static_cast<std::size_t>(image_stride()) +
         static_cast<std::size_t>((row + halo) * row_stride() + (column + halo) * channel_stride +
                                  c);
}

Layout feature_map(int batch, int height, int width, int channels, int halo) {
  return {.batch = batch,
          .height = height,
          .width = width,
          .channels = channels,
          .halo = halo,
          .channel_stride = round_up(channels, channel_lanes)};
}

Layout input_map(int batch, int height, int width, int channels, int halo) {
  return {.batch = batch,
          .height = height,
          .width = width,
          .channels = channels,
          .halo = halo,
          .channel_stride = channels};
}

}  // namespace dovetail
