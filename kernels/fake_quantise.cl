// Weights and activations rounded to the numbers of low-bit inference, and their straight-through
// gradients.
//
// Built with LANES (channels in a vector), ITEMS, a power of two (work-items that share one vector
// of channels when summing up a weight; 1 on CPUs) and GROUP (the most work-items of a line's
// group). Weights are matrices [rows, vectors] with the output channels innermost; a row's `period`
// and `valid` tell the padding rows of a dense layer behind feature maps.
#if !defined(LANES) || !defined(ITEMS) || !defined(GROUP)
#error "fake_quantise.cl needs LANES, ITEMS and GROUP"
#endif

#include "feature_line.clh"
#include "feature_map.clh"

#define FOR_MY_ROW(vectors) \
  for (size_t i = get_group_id(0) * (size_t)(vectors) + get_local_id(1), vector = get_local_id(1); \
       vector < (vectors); i += get_local_size(1), vector += get_local_size(1))

// Comparisons that keep a NaN.
floats clamped(floats value, float low, float high) {
  value = select(value, (floats)(low), value < low);
  return select(value, (floats)(high), value > high);
}

// steps = factor · (sum of |w|, or the largest |w|) of each column. One work-group a vector.
kernel void weight_steps(global const floats* weight, global floats* steps, int rows,
                         int of_largest, float factor) {
  local floats items[ITEMS];
  const int vector = get_group_id(0);
  const int vectors = get_num_groups(0);
  const int item = get_local_id(0);
  floats total = 0;
  for (int row = item; row < rows; row += ITEMS) {
    const floats magnitude = fabs(weight[(size_t)row * vectors + vector]);
    total = of_largest ? select(magnitude, total, total > magnitude) : total + magnitude;
  }
  for (int apart = ITEMS / 2; apart > 0; apart /= 2) {
    items[item] = total;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < apart) {
      const floats other = items[item + apart];
      total = of_largest ? select(other, total, total > other) : total + other;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (item == 0) steps[vector] = total * factor;
}

// quantised = step · code; zero in padding rows, and where the step is zero: padding lanes. One
// work-group a row.
kernel void quantise_weights(global const floats* weight, global const floats* steps,
                             global floats* quantised, int vectors, int period, int valid,
                             int binary, float lowest, float highest) {
  const int padding = get_group_id(0) % period >= valid;
  FOR_MY_ROW(vectors) {
    const floats value = weight[i];
    const floats step = steps[vector];
    floats code;
    if (binary) {
      code = select((floats)(1), (floats)(-1), value < 0);
    } else {
      code = clamped(round(value / step), lowest, highest);
    }
    quantised[i] = padding ? (floats)(0) : select((floats)(0), step * code, step != 0);
  }
}

// gradient = 0 where the weight is clipped. One work-group a row.
kernel void clip_weight_gradient(global const floats* weight, global const floats* steps,
                                 global floats* gradient, int vectors, int binary, float lowest,
                                 float highest) {
  FOR_MY_ROW(vectors) {
    const floats value = weight[i];
    const floats step = binary ? (floats)(1) : steps[vector];
    const floats low = binary ? (floats)(-1) : (lowest - 0.5f) * step;
    const floats high = binary ? (floats)(1) : (highest + 0.5f) * step;
    gradient[i] = select(gradient[i], (floats)(0), value < low || value > high);
  }
}

// y = −1 where x < 0, else 1; `lanes` is 0 for padding channels. A NaN stays a NaN.
kernel void sign_forward(global const floats* x, global const floats* lanes, global floats* y,
                         constant Map* of) {
  const Map map = *of;
  const size_t line = my_line(map);
  FOR_MY_VECTORS(map) {
    const floats value = x[line + i];
    const floats sign = select((floats)(1), (floats)(-1), value < 0);
    y[line + i] = select(value, sign * lanes[i % map.vectors], value == value);
  }
}

// dx = dy where |x| ≤ 1. dx may be dy.
kernel void sign_backward(global const floats* x, global const floats* dy, global floats* dx,
                          constant Map* of) {
  const Map map = *of;
  const size_t line = my_line(map);
  FOR_MY_VECTORS(map) {
    dx[line + i] = select((floats)(0), dy[line + i], fabs(x[line + i]) <= 1);
  }
}

float step_of(global const float* step, float least) {
  return *step < least ? least : *step;
}

// y = step · round(x / step), codes 0 … highest. A NaN stays a NaN.
kernel void uniform_forward(global const floats* x, global const float* step, global floats* y,
                            constant Map* of, float highest, float least) {
  const Map map = *of;
  const size_t line = my_line(map);
  const float my_step = step_of(step, least);
  FOR_MY_VECTORS(map) {
    y[line + i] = my_step * clamped(round(x[line + i] / my_step), 0, highest);
  }
}

float sum_of_lanes(floats values) {
  union {
    floats vector;
    float lane[LANES];
  } both;
  both.vector = values;
  float sum = 0;
  for (int lane = 0; lane < LANES; ++lane) sum += both.lane[lane];
  return sum;
}

// dx = dy where 0 < x / step < highest; the line's part of the step's gradient into `partial`. dx
// may be dy.
kernel void uniform_backward(global const floats* x, global const float* step,
                             global const floats* dy, global floats* dx, global float* partial,
                             constant Map* of, float highest, float least) {
  local float items[GROUP];
  const Map map = *of;
  const size_t line = my_line(map);
  const float my_step = step_of(step, least);
  floats sum = 0;
  FOR_MY_VECTORS(map) {
    const floats v = x[line + i] / my_step;
    const floats gradient = dy[line + i];
    const floats zero = 0;
    const floats inside = select(zero, gradient, v > 0 && v < highest);
    const floats above = select(zero, gradient, v >= highest);
    sum += inside * (round(v) - v) + above * highest;
    dx[line + i] = inside;
  }
  const int items_here = get_local_size(1) * get_local_size(2);
  const int item = get_local_id(2) * get_local_size(1) + get_local_id(1);
  items[item] = sum_of_lanes(sum);
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int apart = items_here / 2; apart > 0; apart /= 2) {
    if (item < apart) items[item] += items[item + apart];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (item == 0) partial[get_group_id(0)] = items[0];
}

// The step's gradient from the lines' parts. One work-group of ITEMS.
kernel void sum_step_gradient(global const float* partial, global float* dstep, int lines,
                              float scale) {
  local float items[ITEMS];
  const int item = get_local_id(0);
  float sum = 0;
  for (int line = item; line < lines; line += ITEMS) sum += partial[line];
  items[item] = sum;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int apart = ITEMS / 2; apart > 0; apart /= 2) {
    if (item < apart) items[item] += items[item + apart];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (item == 0) *dstep = items[0] * scale;
}
