// How a batch of feature maps lies in device memory: channels innermost, a border of zeros around
// each image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace dovetail {

/// Channels of hidden feature maps are padded to a multiple of this, so that a float16 vector never
/// straddles two pixels. The padding lanes hold zeros, and stay zero through training.
inline constexpr int channel_lanes = 16;

/// Of an array that kernels index: they count elements in 32 bits.
inline constexpr std::int64_t most_elements = std::numeric_limits<std::int32_t>::max();

inline constexpr int round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

inline constexpr int quotient_up(int value, int divisor) {
  return (value + divisor - 1) / divisor;
}

/// An extent, which is never negative, as a number of elements.
inline constexpr std::size_t extent(int value) {
  return static_cast<std::size_t>(value);
}

/// [batch, height + 2 halo, width + 2 halo, channel_stride] of float32. The halo is zero from the
/// allocation on and is never written, so a convolution with padding ≤ halo reads its border
/// without a branch. A dense layer's vectors are feature maps of height 1, width 1 and halo 0.
struct Layout {
  int batch = 0;  // capacity; a step may use fewer
  int height = 1;
  int width = 1;
  int channels = 0;
  int halo = 0;
  int channel_stride = 0;

  int padded_height() const { return height + 2 * halo; }
  int padded_width() const { return width + 2 * halo; }
  int row_stride() const { return padded_width() * channel_stride; }
  int image_stride() const { return padded_height() * row_stride(); }
  std::size_t size() const {
    return static_cast<std::size_t>(batch) * static_cast<std::size_t>(image_stride());
  }
  std::size_t bytes() const { return size() * sizeof(float); }
  /// Element index of channel c at interior position (row, column) of image n.
  std::size_t index(int n, int row, int column, int c) const;

  bool operator==(const Layout&) const = default;
};

/// A hidden feature map: channels padded to channel_lanes.
Layout feature_map(int batch, int height, int width, int channels, int halo = 0);

/// The network's input: channels as they are (1 or 3), not padded.
Layout input_map(int batch, int height, int width, int channels, int halo = 0);

}  // namespace dovetail
