// Batch normalisation, ReLU and max-pool in one pass, forward and backward: the normalised map,
// which is as large as x, is never written; who wants a value of it computes it again.
//
// Built with LANES (channels in a vector), POOL (windows of POOL x POOL, as far apart), VECTORS and
// PARTS, powers of two (work-items of a slice's group along dimensions 1 and 2; PARTS 1 on CPUs).
// The kernels of batch_norm.cl make the statistics and fold the slices' sums; passes as there. The gradient dy of
// the pooled map is zero where that is 0 behind a ReLU: who wrote it masked it.
#if !defined(LANES) || !defined(POOL) || !defined(VECTORS) || !defined(PARTS)
#error "batch_norm_pool.cl needs LANES, POOL, VECTORS and PARTS"
#endif

#include "feature_map.clh"
#include "pool_window.clh"
#include "slice_sums.clh"

#define AREA (POOL * POOL)

floats normalised(floats x, floats mean, floats scale, floats beta) {
  return fma(x - mean, scale, beta);
}

// y = max(0 when relu, the largest of (x − mean) · scale + beta) over each window. One work-group a
// line of y.
kernel void normalise_pool(global const floats* restrict x, global const floats* restrict mean,
                           global const floats* restrict scale, global const floats* restrict beta,
                           global floats* restrict y, constant Map* in_map, constant Map* out_map,
                           int relu, int pass_lines) {
  const Map in = *in_map;
  const Map out = *out_map;
  const size_t n = get_group_id(0) / out.rows;
  const int row = get_group_id(0) % out.rows;
  mean += get_group_id(0) / pass_lines * out.vectors;
  scale += get_group_id(0) / pass_lines * out.vectors;
  x += n * in.image + in.start + row * POOL * in.line;
  y += n * out.image + out.start + row * out.line;
  for (int vector = get_local_id(1); vector < out.vectors; vector += get_local_size(1)) {
    const floats my_mean = mean[vector];
    const floats my_scale = scale[vector];
    const floats my_beta = beta[vector];
    for (int column = get_local_id(2); column < out.columns; column += get_local_size(2)) {
      floats window[AREA];
      load_window(window, x + column * POOL * in.vectors + vector, POOL, in.line, in.vectors);
      floats most = normalised(window[0], my_mean, my_scale, my_beta);
      for (int i = 1; i < AREA; ++i)
        most = larger(most, normalised(window[i], my_mean, my_scale, my_beta));
      y[column * out.vectors + vector] = relu ? select(most, (floats)(0), most < 0) : most;
    }
  }
}

// Sums of dy and of dy · (x − mean), x being the first of its window whose normalised value is the
// largest, over each slice of y's lines, [passes][slices][vectors] each. Work-groups: slices.
kernel void slice_pool_gradients(global const floats* restrict x, global const floats* restrict dy,
                                 global const floats* restrict mean,
                                 global const floats* restrict scale,
                                 global const floats* restrict beta, global floats* restrict sums,
                                 global floats* restrict products, constant Map* in_map,
                                 constant Map* out_map, int lines, int slice_lines,
                                 int slices) {
  PART_SUMS(part_sums);
  PART_SUMS(part_products);
  const Map in = *in_map;
  const Map out = *out_map;
  const size_t place_of_slice = get_group_id(0) * out.vectors;
  const int pass = get_group_id(0) / slices;
  const size_t first_image = pass * (lines / out.rows);
  x += first_image * in.image;
  dy += first_image * out.image;
  mean += pass * out.vectors;
  scale += pass * out.vectors;
  const int part = get_local_id(2);
  const int place = get_local_id(1);
  const int first = get_group_id(0) % slices * slice_lines;
  const int last = min(first + slice_lines, lines);
  // The same number of rounds for all work-items, which meet at barriers.
  for (int begin = 0; begin < out.vectors; begin += VECTORS) {
    const int vector = min(begin + place, out.vectors - 1);
    const floats my_mean = mean[vector];
    const floats my_scale = scale[vector];
    const floats my_beta = beta[vector];
    floats sum = 0;
    floats product = 0;
    for (int line = first; line < last; ++line) {
      const size_t n = line / out.rows;
      const int row = line % out.rows;
      global const floats* windows = x + n * in.image + in.start + row * POOL * in.line + vector;
      global const floats* gradients = dy + n * out.image + out.start + row * out.line + vector;
      floats line_sum = 0;
      floats line_product = 0;
      for (int column = part; column < out.columns; column += PARTS) {
        floats window[AREA];
        load_window(window, windows + column * POOL * in.vectors, POOL, in.line, in.vectors);
        floats chosen = window[0];
        floats most = normalised(chosen, my_mean, my_scale, my_beta);
        for (int i = 1; i < AREA; ++i) {
          const floats value = normalised(window[i], my_mean, my_scale, my_beta);
          chosen = select(chosen, window[i], value > most);
          most = max(most, value);
        }
        const floats gradient = gradients[column * out.vectors];
        line_sum += gradient;
        line_product += gradient * (chosen - my_mean);
      }
      sum += line_sum;
      product += line_product;
    }
    ADD_PARTS(sum, product, part_sums, part_products);
    if (part == 0 && begin + place < out.vectors) {
      sums[place_of_slice + vector] = sum;
      products[place_of_slice + vector] = product;
    }
  }
}

// dx = (g − offset − (x − mean) · slope) · gradient_scale, where g is dy at each window's first
// largest value and 0 elsewhere. The image is cut into cells of POOL x POOL, the last ones ragged
// and without a window. Work-groups: rows of cells, ceil(in.rows / POOL) an image, of which a pass
// has `pass_cells`.
kernel void input_pool_gradient(global const floats* restrict x, global const floats* restrict dy,
                                global const floats* restrict mean,
                                global const floats* restrict scale,
                                global const floats* restrict beta,
                                global const floats* restrict gradient_scale,
                                global const floats* restrict offset,
                                global const floats* restrict slope, global floats* restrict dx,
                                constant Map* in_map, constant Map* out_map, int pass_cells) {
  const Map in = *in_map;
  const Map out = *out_map;
  const size_t statistics = get_group_id(0) / pass_cells * in.vectors;
  mean += statistics;
  scale += statistics;
  gradient_scale += statistics;
  offset += statistics;
  slope += statistics;
  const int cell_rows = (in.rows + POOL - 1) / POOL;
  const int cell_columns = (in.columns + POOL - 1) / POOL;
  const size_t n = get_group_id(0) / cell_rows;
  const int row = get_group_id(0) % cell_rows;
  x += n * in.image + in.start + row * POOL * in.line;
  dx += n * in.image + in.start + row * POOL * in.line;
  dy += n * out.image + out.start + row * out.line;
  for (int vector = get_local_id(1); vector < in.vectors; vector += get_local_size(1)) {
    const floats my_mean = mean[vector];
    const floats my_scale = scale[vector];
    const floats my_beta = beta[vector];
    const floats my_gradient_scale = gradient_scale[vector];
    const floats my_offset = offset[vector];
    const floats my_slope = slope[vector];
    for (int column = get_local_id(2); column < cell_columns; column += get_local_size(2)) {
      const int corner = column * POOL * in.vectors + vector;
      if (row < out.rows && column < out.columns) {
        floats window[AREA];
        load_window(window, x + corner, POOL, in.line, in.vectors);
        floats most = normalised(window[0], my_mean, my_scale, my_beta);
        for (int i = 1; i < AREA; ++i)
          most = max(most, normalised(window[i], my_mean, my_scale, my_beta));
        const floats gradient = dy[column * out.vectors + vector];
        ints open = -1;  // lanes whose largest value has not been met yet
        for (int i = 0; i < AREA; ++i) {
          const ints takes =
              open & (normalised(window[i], my_mean, my_scale, my_beta) == most);
          open &= ~takes;
          dx[corner + i / POOL * in.line + i % POOL * in.vectors] =
              (select((floats)(0), gradient, takes) - my_offset - (window[i] - my_mean) * my_slope) *
              my_gradient_scale;
        }
      } else {
        const int rows = min(POOL, in.rows - row * POOL);
        const int columns = min(POOL, in.columns - column * POOL);
        for (int r = 0; r < rows; ++r) {
          for (int c = 0; c < columns; ++c) {
            const int at = corner + r * in.line + c * in.vectors;
            dx[at] = (-my_offset - (x[at] - my_mean) * my_slope) * my_gradient_scale;
          }
        }
      }
    }
  }
}
