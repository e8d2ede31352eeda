// Sliding-window unit: turns a stream of feature maps into the stream of a convolution's windows.
#pragma once

#include "memory.hpp"

namespace dovetail {
namespace int8 {

constexpr int line_count = 8;  // rows kept; a power of two, at least max_kernel
static_assert(line_count >= max_kernel && (line_count & (line_count - 1)) == 0,
              "rows are found by their low bits");

/// Bytes of one kept row: with both paddings, and what the last window's last word reads beyond.
constexpr int line_bytes = max_row_bytes + 2 * simd;

/// Fills one row of the padded image. Rows above and below the image are zero and take nothing from
/// the stream.
inline void fill_line(LaneStream& input, std::int8_t* line, bool inside, int width, int channels,
                      int padding) {
  const int left = padding * channels;
  const int right = left + width * channels;
  const int words = inside ? row_bytes(width, channels) / simd : 0;
  for (int i = 0; i < left; ++i) {
#pragma HLS pipeline II = 1
    line[i] = 0;
  }
  for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 1
    const Lanes lanes = input.read();
    for (int l = 0; l < simd; ++l) line[left + w * simd + l] = lanes.value[l];
  }
  // Clears the row's own padding too, which the last word brought along.
  for (int i = inside ? right : left; i < right + left + simd; ++i) {
#pragma HLS pipeline II = 1
    line[i] = 0;
  }
}

/// For each image [height][width][channels]: every window in row-major order, each as kernel rows
/// of window_row_words(kernel, channels) words. What a word holds beyond its kernel row meets zero
/// weights.
inline void sliding_window(LaneStream& input, LaneStream& windows, int images, int height,
                           int width, int channels, int kernel, int stride, int padding) {
  std::int8_t lines[line_count][line_bytes];
#pragma HLS array_partition variable = lines cyclic factor = 16 dim = 2
  const int out_height = output_extent(height, kernel, stride, padding);
  const int out_width = output_extent(width, kernel, stride, padding);
  const int words = window_row_words(kernel, channels);
  for (int image = 0; image < images; ++image) {
    int filled = 0;  // rows of the padded image so far; row r lies in lines[r mod line_count]
    for (int row = 0; row < out_height; ++row) {
      for (; filled < row * stride + kernel; ++filled) {
        const bool inside = filled >= padding && filled < padding + height;
        fill_line(input, lines[filled & (line_count - 1)], inside, width, channels, padding);
      }
      for (int column = 0; column < out_width; ++column) {
        for (int k = 0; k < kernel; ++k) {
          const std::int8_t* line =
              lines[(row * stride + k) & (line_count - 1)] + column * stride * channels;
          for (int w = 0; w < words; ++w) {
#pragma HLS pipeline II = 1
            Lanes lanes;
            for (int l = 0; l < simd; ++l) lanes.value[l] = line[w * simd + l];
            windows.write(lanes);
          }
        }
      }
    }
    for (; filled < padding + height; ++filled) {
      fill_line(input, lines[filled & (line_count - 1)], filled >= padding, width, channels,
                padding);
    }
  }
}

}  // namespace int8
}  // namespace dovetail
