// Sliding-window unit of the training kernels: turns a stream of maps into the stream of a
// convolution's windows, or of the windows that its input gradient sums over.
#pragma once

#include "training/memory.hpp"

namespace dovetail {
namespace training {

/// Windows of kernel × kernel positions, `stride` apart, on maps whose positions stand `dilation`
/// apart and are zero between and around. A forward convolution has dilation 1; its input gradient
/// has stride 1 and the forward stride as dilation. `padding` stands above and to the left.
struct Window {
  int height, width, words;  // of the map; words a position
  int kernel, stride, dilation, padding;
  int out_height, out_width;

  int vector_words() const { return kernel * kernel * words; }
};

constexpr int line_count = 8;  // rows kept; a power of two, above max_kernel
static_assert(line_count > max_kernel && (line_count & (line_count - 1)) == 0,
              "rows are found by their low bits");

/// The source position under place `place` of the dilated axis, or −1 where it is zero.
inline int source_of(int place, int dilation, int extent) {
#pragma HLS inline
  if (place < 0 || place % dilation != 0) return -1;
  const int source = place / dilation;
  return source < extent ? source : -1;
}

/// One kernel row of a window, from a line of the map. `left` is the dilated place of its first
/// column.
inline void write_window_row(const Word* line, int left, const Window& window, WordStream& out) {
  const Word zeros[simd] = {};
  for (int k = 0; k < window.kernel; ++k) {
    const int column = line == nullptr ? -1 : source_of(left + k, window.dilation, window.width);
    if (column >= 0) {
      out.write(line + column * window.words, window.words);
    } else {
      for (int w = 0; w < window.words; w += simd) {
        out.write(zeros, window.words - w < simd ? window.words - w : simd);
      }
    }
  }
}

/// For each map: every window in row-major order, each as [kernel row][kernel column][word].
inline void sliding_window(WordStream& input, WordStream& windows, int images,
                           const Window& window) {
  Word lines[line_count][max_row_words];
#pragma HLS aggregate variable = lines
#pragma HLS array_partition variable = lines complete dim = 1
  const int row_words = window.width * window.words;
  for (int image = 0; image < images; ++image) {
    int filled = 0;  // rows so far; row r lies in lines[r mod line_count]
    for (int row = 0; row < window.out_height; ++row) {
      const int top = row * window.stride - window.padding;
      for (; filled < window.height && filled * window.dilation < top + window.kernel; ++filled)
        input.read(lines[filled & (line_count - 1)], row_words);
      for (int column = 0; column < window.out_width; ++column) {
        const int left = column * window.stride - window.padding;
        for (int k = 0; k < window.kernel; ++k) {
          const int source = source_of(top + k, window.dilation, window.height);
          write_window_row(source < 0 ? nullptr : lines[source & (line_count - 1)], left, window,
                           windows);
        }
      }
    }
    for (; filled < window.height; ++filled) input.read(lines[0], row_words);
  }
}

}  // namespace training
}  // namespace dovetail
