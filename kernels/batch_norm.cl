// Batch normalisation per channel: statistics, forward, backward.
//
// Built with LANES (channels in a vector), VECTORS (that a work-group takes at a time), ITEMS, a
// power of two (work-items that fold the slices' results of one vector of channels; 1 on CPUs) and
// PARTS, another (work-items of a group that share a slice's vector; 1 on CPUs). The lines of a
// pass over the batch, of which a launch has one or several, are cut into slices of `slice_lines`,
// one a work-group; each slice is summed up by itself, and the slices' results are folded in a
// fixed order. Statistics are those of a pass; all that is per channel lies as [passes][vectors],
// but for the parameters and their gradients.
#if !defined(LANES) || !defined(VECTORS) || !defined(ITEMS) || !defined(PARTS)
#error "batch_norm.cl needs LANES, VECTORS, ITEMS and PARTS"
#endif

#include "feature_map.clh"
#include "passes.clh"
#include "slice_sums.clh"

#define FOR_MY_CHANNELS(map) \
  for (int vector = get_local_id(1); vector < (map).vectors; vector += get_local_size(1))
// The same number of rounds for all work-items, as those need that meet at barriers in them.
#define FOR_ALL_CHANNELS(map)                                                     \
  for (int wanted = get_local_id(1); wanted - (int)get_local_id(1) < (map).vectors; \
       wanted += get_local_size(1))

// Mean and squared deviations of two sets of samples together, into the first (Chan, Golub,
// LeVeque, "Algorithms for computing the sample variance", 1983).
void fold_statistics(float* count, floats* mean, floats* deviations, float other_count,
                     floats other_mean, floats other_deviations) {
  if (other_count == 0) return;
  const float both = *count + other_count;
  const floats apart = other_mean - *mean;
  *mean += apart * (other_count / both);
  *deviations += other_deviations + apart * apart * (*count * other_count / both);
  *count = both;
}

// A work-item's mean and sum of squared deviations over the pixels of lines [first, last) that are
// its own, every PARTS-th. On CPUs two passes, the second one correcting the mean that the first one
// rounded (as above), and values count from the batch's first pixel, so that a mean far from zero
// costs no digits. On GPUs, where memory bounds it, one pass: values count from the work-item's
// first, which is about as far from the mean as the others.
#if PARTS > 1
void part_statistics(global const floats* restrict x, Map map, int first, int last, int part,
                     int vector, float count, floats* mean, floats* deviation) {
  const floats origin =
      x[start_of_line(map, first) + min(part, map.columns - 1) * map.vectors + vector];
  floats sum = 0;
  floats squares = 0;
  for (int line = first; line < last; ++line) {
    global const floats* pixel = x + start_of_line(map, line) + vector;
    floats line_sum = 0;
    floats line_squares = 0;
    for (int column = part; column < map.columns; column += PARTS) {
      const floats apart = pixel[column * map.vectors] - origin;
      line_sum += apart;
      line_squares += apart * apart;
    }
    sum += line_sum;
    squares += line_squares;
  }
  const floats shift = sum / max(count, 1.0f);
  *mean = origin - x[map.start + vector] + shift;
  *deviation = max(squares - sum * shift, (floats)(0));
}
#else
void part_statistics(global const floats* restrict x, Map map, int first, int last, int part,
                     int vector, float count, floats* mean, floats* deviation) {
  const floats origin = x[map.start + vector];
  floats sum = 0;
  for (int line = first; line < last; ++line) {
    global const floats* pixel = x + start_of_line(map, line) + vector;
    floats line_sum = 0;
    for (int column = 0; column < map.columns; ++column)
      line_sum += pixel[column * map.vectors] - origin;
    sum += line_sum;
  }
  const floats rounded = sum / count;
  floats rest = 0;
  floats squares = 0;
  for (int line = first; line < last; ++line) {
    global const floats* pixel = x + start_of_line(map, line) + vector;
    floats line_rest = 0;
    floats line_squares = 0;
    for (int column = 0; column < map.columns; ++column) {
      const floats deviation = (pixel[column * map.vectors] - origin) - rounded;
      line_rest += deviation;
      line_squares += deviation * deviation;
    }
    rest += line_rest;
    squares += line_squares;
  }
  *mean = rounded + rest / count;
  *deviation = squares - rest * rest / count;
}
#endif

// Mean, counted from the pass's first pixel, and sum of squared deviations of each slice,
// [passes][slices][vectors] each; `lines` and `slices` are a pass's. Work-groups: slices, of whose
// pixels each work-item along dimension 2 takes every PARTS-th.
kernel void slice_statistics(global const floats* restrict x, global floats* restrict means,
                             global floats* restrict deviations, constant Map* of, int lines,
                             int slice_lines, int slices) {
#if PARTS > 1
  local float part_counts[PARTS][VECTORS];
  local floats part_means[PARTS][VECTORS], part_deviations[PARTS][VECTORS];
#endif
  const Map map = *of;
  const size_t place_of_slice = get_group_id(0) * map.vectors;
  x += get_group_id(0) / slices * (lines / map.rows) * (size_t)map.image;
  const int part = get_local_id(2);
  const int first = get_group_id(0) % slices * slice_lines;
  const int last = min(first + slice_lines, lines);
  const int columns = (map.columns - part + PARTS - 1) / PARTS;  // this work-item's, of a line
  const float count = (last - first) * columns;
  FOR_ALL_CHANNELS(map) {
    const int vector = min(wanted, map.vectors - 1);
    floats mean, deviation;
    part_statistics(x, map, first, last, part, vector, count, &mean, &deviation);
#if PARTS > 1
    const int place = get_local_id(1);
    float all = count;
    for (int apart = PARTS / 2; apart > 0; apart /= 2) {
      part_counts[part][place] = all;
      part_means[part][place] = mean;
      part_deviations[part][place] = deviation;
      barrier(CLK_LOCAL_MEM_FENCE);
      if (part < apart) {
        fold_statistics(&all, &mean, &deviation, part_counts[part + apart][place],
                        part_means[part + apart][place], part_deviations[part + apart][place]);
      }
      barrier(CLK_LOCAL_MEM_FENCE);
    }
#endif
    if (part == 0 && wanted < map.vectors) {
      means[place_of_slice + vector] = mean;
      deviations[place_of_slice + vector] = deviation;
    }
  }
}

// A pass's statistics from its slices', and their law: scale = gamma / sqrt(variance + epsilon).
// `law`: rows of `law_row` vectors, of which these kernels write mean, scale and beta. `pixels` and
// `slices` are a pass's; a slice has `slice_pixels`, the last one perhaps fewer. Means of slices count
// from the pass's first pixel, or from zero where not `from_first`. One work-group a vector of
// channels and pass.
kernel void batch_statistics(global const floats* x, global const floats* means,
                             global const floats* deviations, global const floats* gamma,
                             global const floats* beta, global floats* mean,
                             global floats* variance, global floats* law, int law_row,
                             constant Map* of, int slices, int pixels, int slice_pixels,
                             int from_first, float epsilon) {
  local float counts[ITEMS];
  local floats item_means[ITEMS];
  local floats item_deviations[ITEMS];
  const int vector = get_group_id(0);
  const int vectors = get_num_groups(0);
  const int item = get_local_id(0);
  const int pass = get_group_id(1);
  x += pass * (pixels / (of->rows * of->columns)) * (size_t)of->image;
  means += (size_t)pass * slices * vectors;
  deviations += (size_t)pass * slices * vectors;
  const floats first_mean = means[vector];  // of slice 0: folding small differences rounds less
  float count = 0;
  floats my_mean = 0;
  floats my_deviations = 0;
#pragma unroll 8
  for (int slice = item; slice < slices; slice += ITEMS) {
    const float slice_count = min(slice_pixels, pixels - slice * slice_pixels);
    fold_statistics(&count, &my_mean, &my_deviations, slice_count,
                    means[slice * vectors + vector] - first_mean,
                    deviations[slice * vectors + vector]);
  }
  for (int apart = ITEMS / 2; apart > 0; apart /= 2) {
    counts[item] = count;
    item_means[item] = my_mean;
    item_deviations[item] = my_deviations;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < apart) {
      fold_statistics(&count, &my_mean, &my_deviations, counts[item + apart],
                      item_means[item + apart], item_deviations[item + apart]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (item == 0) {
    const floats batch_variance = my_deviations / count;
    const floats origin = from_first ? x[of->start + vector] : (floats)(0);
    const floats batch_mean = origin + (first_mean + my_mean);
    mean[pass * vectors + vector] = batch_mean;
    variance[pass * vectors + vector] = batch_variance;
    law += pass * vectors + vector;
    law[0] = batch_mean;
    law[law_row] = gamma[vector] / sqrt(batch_variance + epsilon);
    law[2 * law_row] = beta[vector];
  }
}

// The law of given statistics. One work-item a vector of channels.
kernel void inference_law(global const floats* gamma, global const floats* beta,
                          global const floats* mean, global const floats* variance,
                          global floats* law, int law_row, float epsilon) {
  const size_t vector = get_global_id(0);
  law[vector] = mean[vector];
  law[law_row + vector] = gamma[vector] / sqrt(variance[vector] + epsilon);
  law[2 * law_row + vector] = beta[vector];
}

// y = (x − mean) · scale + beta, then max(0, ·) when relu. One work-group a line, of which a pass
// has `pass_lines`.
kernel void normalise(global const floats* x, global const floats* mean, global const floats* scale,
                      global const floats* beta, global floats* y, constant Map* of, int relu,
                      int pass_lines) {
  const Map map = *of;
  const size_t start = start_of_line(map, get_group_id(0));
  mean += get_group_id(0) / pass_lines * map.vectors;
  scale += get_group_id(0) / pass_lines * map.vectors;
  FOR_MY_CHANNELS(map) {
    const floats my_mean = mean[vector];
    const floats my_scale = scale[vector];
    const floats my_beta = beta[vector];
    for (int column = get_local_id(2); column < map.columns; column += get_local_size(2)) {
      const size_t at = start + column * map.vectors + vector;
      const floats value = fma(x[at] - my_mean, my_scale, my_beta);
      y[at] = relu ? select(value, (floats)(0), value < 0) : value;
    }
  }
}

// Sums of dy and of dy · (x − mean) over each slice, [passes][slices][vectors] each. Work-groups as
// for slice_statistics.
kernel void slice_gradients(global const floats* restrict x, global const floats* restrict dy,
                            global const floats* restrict mean, global floats* restrict sums,
                            global floats* restrict products, constant Map* of, int lines,
                            int slice_lines, int slices) {
  PART_SUMS(part_sums);
  PART_SUMS(part_products);
  const Map map = *of;
  const size_t place_of_slice = get_group_id(0) * map.vectors;
  const int pass = get_group_id(0) / slices;
  x += pass * (lines / map.rows) * (size_t)map.image;
  dy += pass * (lines / map.rows) * (size_t)map.image;
  mean += pass * map.vectors;
  const int part = get_local_id(2);
  const int first = get_group_id(0) % slices * slice_lines;
  const int last = min(first + slice_lines, lines);
  FOR_ALL_CHANNELS(map) {
    const int vector = min(wanted, map.vectors - 1);
    const floats my_mean = mean[vector];
    floats sum = 0;
    floats product = 0;
    for (int line = first; line < last; ++line) {
      const size_t start = start_of_line(map, line) + vector;
      floats line_sum = 0;
      floats line_product = 0;
      for (int column = part; column < map.columns; column += PARTS) {
        const floats gradient = dy[start + column * map.vectors];
        line_sum += gradient;
        line_product += gradient * (x[start + column * map.vectors] - my_mean);
      }
      sum += line_sum;
      product += line_product;
    }
    ADD_PARTS(sum, product, part_sums, part_products);
    if (part == 0 && wanted < map.vectors) {
      sums[place_of_slice + vector] = sum;
      products[place_of_slice + vector] = product;
    }
  }
}

// dbeta and dgamma over the passes, and what dx = (dy − offset − (x − mean) · slope) · scale needs of
// each. `slices` and `count`, of pixels, are a pass's. One work-group a vector of channels.
kernel void batch_gradients(global const floats* sums, global const floats* products,
                            global const floats* gamma, global const floats* variance,
                            global floats* dgamma, global floats* dbeta, global floats* scale,
                            global floats* offset, global floats* slope, int slices, int passes,
                            float count, float epsilon) {
  local floats item_sums[ITEMS];
  local floats item_products[ITEMS];
  const int vector = get_group_id(0);
  const int vectors = get_num_groups(0);
  const int item = get_local_id(0);
  floats kept_sums[pass_levels], kept_products[pass_levels];
  for (int pass = 0; pass < passes; ++pass) {
    floats sum = 0;
    floats product = 0;
#pragma unroll 8
    for (int slice = item; slice < slices; slice += ITEMS) {
      sum += sums[slice * vectors + vector];
      product += products[slice * vectors + vector];
    }
    for (int apart = ITEMS / 2; apart > 0; apart /= 2) {
      item_sums[item] = sum;
      item_products[item] = product;
      barrier(CLK_LOCAL_MEM_FENCE);
      if (item < apart) {
        sum += item_sums[item + apart];
        product += item_products[item + apart];
      }
      barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (item == 0) {
      const floats inverse_deviation = 1 / sqrt(variance[vector] + epsilon);
      scale[vector] = gamma[vector] * inverse_deviation;
      offset[vector] = sum / count;
      slope[vector] = product * inverse_deviation * inverse_deviation / count;
      item_products[0] = product * inverse_deviation;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item == 0) {
      product = item_products[0];  // rounded, not fused into a sum of passes
      ADD_PASS(sum, pass, kept_sums);
      ADD_PASS(product, pass, kept_products);
      dbeta[vector] = sum;
      dgamma[vector] = product;
    }
    sums += slices * vectors;
    products += slices * vectors;
    variance += vectors;
    scale += vectors;
    offset += vectors;
    slope += vectors;
  }
}

// One work-group a line, of which a pass has `pass_lines`. dx may be dy.
kernel void input_gradient(global const floats* x, global const floats* dy,
                           global const floats* mean, global const floats* scale,
                           global const floats* offset, global const floats* slope,
                           global floats* dx, constant Map* of, int pass_lines) {
  const Map map = *of;
  const size_t statistics = get_group_id(0) / pass_lines * map.vectors;
  mean += statistics;
  scale += statistics;
  offset += statistics;
  slope += statistics;
  const size_t start = start_of_line(map, get_group_id(0));
  FOR_MY_CHANNELS(map) {
    const floats my_mean = mean[vector];
    const floats my_scale = scale[vector];
    const floats my_offset = offset[vector];
    const floats my_slope = slope[vector];
    for (int column = get_local_id(2); column < map.columns; column += get_local_size(2)) {
      const size_t at = start + column * map.vectors + vector;
      dx[at] = fma(my_mean - x[at], my_slope, dy[at] - my_offset) * my_scale;
    }
  }
}
