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

/// A place on an axis whose positions stand `dilation` apart, by counters: a division would take
/// longer than the words of its position.
struct Place {
  int source;  // the position at or before the place
  int phase;   // places behind that position; only 0 holds a value

  /// Place −padding.
  static Place before(int padding, int dilation) {
    const int positions = divide_up(padding, dilation);
    return {-positions, positions * dilation - padding};
  }
  /// `by` places on; 1 on a dilated axis.
  void advance(int by, int dilation) {
#pragma HLS inline
    phase = phase + 1 < dilation ? phase + 1 : 0;
    source += phase == 0 ? by : 0;
  }
  bool is_of(int extent) const {
#pragma HLS inline
    return phase == 0 && source >= 0 && source < extent;
  }
};

/// The windows of one output row whose first kernel row is at place `top`.
inline void write_windows(const Word (*lines)[max_row_words], const Place& top,
                          const Window& window, WordStream& out) {
  const int window_words = window.kernel * window.kernel * window.words;
  Place left = Place::before(window.padding, window.dilation), x = left, y = top;
  int row = 0, column = 0, word = 0;  // of the window
  // invariant: one word of the lines is read in each cycle, and one leaves. Only counters go from
  // cycle to cycle.
  for (int cycle = 0; cycle < window.out_width * window_words; ++cycle) {
#pragma HLS pipeline II = 1
    Word value = {};
    if (y.is_of(window.height) && x.is_of(window.width))
      value = lines[y.source & (line_count - 1)][x.source * window.words + word];
    out.write(value);
    if (++word < window.words) continue;
    word = 0;
    x.advance(1, window.dilation);
    if (++column < window.kernel) continue;
    column = 0;
    x = left;
    y.advance(1, window.dilation);
    if (++row < window.kernel) continue;
    row = 0;
    left.advance(window.stride, window.dilation);
    x = left;
    y = top;
  }
}

/// For each map: every window in row-major order, each as [kernel row][kernel column][word].
inline void sliding_window(WordStream& input, WordStream& windows, int images,
                           const Window& window) {
  Word lines[line_count][max_row_words];
#pragma HLS aggregate variable = lines
#pragma HLS bind_storage variable = lines type = ram_2p impl = uram
  const int row_words = window.width * window.words;
  for (int image = 0; image < images; ++image) {
    int filled = 0;  // rows so far; row r lies in lines[r mod line_count]
    Place top = Place::before(window.padding, window.dilation), bottom = top;
    for (int k = 1; k < window.kernel; ++k) bottom.advance(1, window.dilation);
    for (int row = 0; row < window.out_height; ++row) {
      for (; filled < window.height && filled <= bottom.source; ++filled)
        input.read(lines[filled & (line_count - 1)], row_words);
      write_windows(lines, top, window, windows);
      top.advance(window.stride, window.dilation);
      bottom.advance(window.stride, window.dilation);
    }
    for (; filled < window.height; ++filled) input.read(lines[0], row_words);
  }
}

}  // namespace training
}  // namespace dovetail
