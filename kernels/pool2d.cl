// Max-pool and average-pool of feature maps, forward and backward.
//
// Built with LANES (channels in a vector), KERNEL, STRIDE, and AVERAGE = 0 (max) or 1. One
// work-group a line; its work-items share the line's columns and channel vectors.
#if !defined(LANES) || !defined(KERNEL) || !defined(STRIDE) || !defined(AVERAGE)
#error "pool2d.cl needs LANES, KERNEL, STRIDE and AVERAGE"
#endif

#include "feature_map.clh"
#include "pool_window.clh"

#define FOR_MY_PIXELS(columns_, vectors_)                                              \
  for (int column = get_local_id(2); column < (columns_); column += get_local_size(2)) \
    for (int vector = get_local_id(1); vector < (vectors_); vector += get_local_size(1))

// 1 / (KERNEL * KERNEL) of a window's sum, or its maximum. A NaN in a max-pool's window is kept.
floats pool_window(const floats* window) {
  floats result = window[0];
  for (int i = 1; i < KERNEL * KERNEL; ++i) {
    if (AVERAGE) {
      result += window[i];
    } else {
      result = larger(result, window[i]);
    }
  }
  return AVERAGE ? result * (1.0f / (KERNEL * KERNEL)) : result;
}

// Work-groups: batch * out.rows.
kernel void pool_forward(global const floats* restrict x, global floats* restrict y,
                         constant Map* in_map, constant Map* out_map) {
  const Map in = *in_map;
  const Map out = *out_map;
  const size_t n = get_group_id(0) / out.rows;
  const int row = get_group_id(0) % out.rows;
  x += n * in.image + in.start + row * STRIDE * in.line;
  y += n * out.image + out.start + row * out.line;
  FOR_MY_PIXELS(out.columns, out.vectors) {
    floats window[KERNEL * KERNEL];
    load_window(window, x + column * STRIDE * in.vectors + vector, KERNEL, in.line, in.vectors);
    y[column * out.vectors + vector] = pool_window(window);
  }
}

// For windows that do not overlap (STRIDE >= KERNEL). The image is cut into cells of STRIDE x
// STRIDE, the last ones ragged; each cell holds at most one window in its corner, and the rest of
// it gets zeros. Work-groups: batch * ceil(in.rows / STRIDE).
kernel void pool_backward_apart(global const floats* restrict x, global const floats* restrict dy,
                                global floats* restrict dx, constant Map* in_map,
                                constant Map* out_map, int mask) {
  const Map in = *in_map;
  const Map out = *out_map;
  const int cell_rows = (in.rows + STRIDE - 1) / STRIDE;
  const int cell_columns = (in.columns + STRIDE - 1) / STRIDE;
  const size_t n = get_group_id(0) / cell_rows;
  const int row = get_group_id(0) % cell_rows;
  x += n * in.image + in.start + row * STRIDE * in.line;
  dx += n * in.image + in.start + row * STRIDE * in.line;
  dy += n * out.image + out.start + row * out.line;
  FOR_MY_PIXELS(cell_columns, in.vectors) {
    const bool has_window = row < out.rows && column < out.columns;
    const int corner = column * STRIDE * in.vectors + vector;
    if (has_window) {
      floats window[KERNEL * KERNEL];
      load_window(window, x + corner, KERNEL, in.line, in.vectors);
      const floats gradient =
          dy[column * out.vectors + vector] * (AVERAGE ? 1.0f / (KERNEL * KERNEL) : 1.0f);
      const floats largest = pool_window(window);
      ints open = -1;  // lanes whose maximum has not been met yet
      for (int i = 0; i < KERNEL * KERNEL; ++i) {
        ints takes = -1;
        if (!AVERAGE) {
          takes = open & (window[i] == largest);
          open &= ~takes;
        }
        if (mask) takes &= ~(window[i] <= 0);
        dx[corner + i / KERNEL * in.line + i % KERNEL * in.vectors] =
            select((floats)(0), gradient, takes);
      }
    }
    for (int r = 0; r < STRIDE; ++r) {
      for (int c = 0; c < STRIDE; ++c) {
        const bool in_window = has_window && r < KERNEL && c < KERNEL;
        const bool in_image = row * STRIDE + r < in.rows && column * STRIDE + c < in.columns;
        if (!in_window && in_image) dx[corner + r * in.line + c * in.vectors] = 0;
      }
    }
  }
}

// -1 in the lanes where pixel `at` of this window is the first that equals its maximum.
ints is_first_maximum(global const floats* window, int at, floats largest, int line, int vectors) {
  ints first = window[at / KERNEL * line + at % KERNEL * vectors] == largest;
  for (int i = 0; i < at; ++i) first &= window[i / KERNEL * line + i % KERNEL * vectors] != largest;
  return first;
}

// For windows that overlap: each pixel gathers from the windows that hold it. Work-groups: batch *
// in.rows.
kernel void pool_backward_overlapping(global const floats* restrict x,
                                      global const floats* restrict y,
                                      global const floats* restrict dy, global floats* restrict dx,
                                      constant Map* in_map, constant Map* out_map, int mask) {
  const Map in = *in_map;
  const Map out = *out_map;
  const size_t n = get_group_id(0) / in.rows;
  const int row = get_group_id(0) % in.rows;
  x += n * in.image + in.start;
  dx += n * in.image + in.start + row * in.line;
  y += n * out.image + out.start;
  dy += n * out.image + out.start;
  const int first_row = max(0, (row - KERNEL + STRIDE) / STRIDE);
  const int last_row = min(out.rows - 1, row / STRIDE);
  FOR_MY_PIXELS(in.columns, in.vectors) {
    const int first_column = max(0, (column - KERNEL + STRIDE) / STRIDE);
    const int last_column = min(out.columns - 1, column / STRIDE);
    floats sum = 0;
    for (int r = first_row; r <= last_row; ++r) {
      for (int c = first_column; c <= last_column; ++c) {
        const int window = r * out.line + c * out.vectors + vector;
        if (AVERAGE) {
          sum += dy[window] * (1.0f / (KERNEL * KERNEL));
        } else {
          const int at = (row - r * STRIDE) * KERNEL + column - c * STRIDE;
          const ints takes =
              is_first_maximum(x + r * STRIDE * in.line + c * STRIDE * in.vectors + vector, at,
                               y[window], in.line, in.vectors);
          sum += select((floats)(0), dy[window], takes);
        }
      }
    }
    if (mask) sum = select(sum, (floats)(0), x[row * in.line + column * in.vectors + vector] <= 0);
    dx[column * in.vectors + vector] = sum;
  }
}
