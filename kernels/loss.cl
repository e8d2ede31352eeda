// Losses with their gradients: first each sample's row, then the sums over the batch.
//
// Built with ITEMS, a power of two: the work-items that share a row (1 on CPUs). A row has `stride`
// floats, a multiple of 16; its columns past the last real one are padding, whose gradient is zero.
#ifndef ITEMS
#error "loss.cl needs ITEMS"
#endif

#include "passes.clh"

#define COLUMN_IDS (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)

#define FOR_MY_VECTORS(count) for (int i = get_local_id(0); i < (count); i += ITEMS)

float sum_of_lanes(float16 v) {
  const float8 a = v.lo + v.hi;
  const float4 b = a.lo + a.hi;
  return (b.x + b.z) + (b.y + b.w);
}

float max_of_lanes(float16 v) {
  const float8 a = fmax(v.lo, v.hi);
  const float4 b = fmax(a.lo, a.hi);
  return fmax(fmax(b.x, b.z), fmax(b.y, b.w));
}

// Over the work-items of a group, in the same order on every call; every work-item gets the result.
float sum_of_group(float value, local float* scratch) {
  const int item = get_local_id(0);
  scratch[item] = value;
  for (int half_of = ITEMS / 2; half_of > 0; half_of /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < half_of) scratch[item] += scratch[item + half_of];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  const float result = scratch[0];
  barrier(CLK_LOCAL_MEM_FENCE);
  return result;
}

float max_of_group(float value, local float* scratch) {
  const int item = get_local_id(0);
  scratch[item] = value;
  for (int half_of = ITEMS / 2; half_of > 0; half_of /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < half_of) scratch[item] = fmax(scratch[item], scratch[item + half_of]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  const float result = scratch[0];
  barrier(CLK_LOCAL_MEM_FENCE);
  return result;
}

// Whether a row holds the label in one of its columns. Any other makes its row's loss NaN.
int is_column(int label, int columns) {
  return label >= 0 && label < columns;
}

// The negated numbers of the first columns, lane by lane, that hold the largest value. Column numbers are exact in
// float32 up to 2^24.
float16 negated_first_of(float16 before, float16 values, float largest, int16 column, int columns) {
  const int16 is_largest = (values == largest) & (column < columns);
  return select(before, fmax(before, -convert_float16(column)), is_largest);
}

// One work-group a row. row_losses and row_hits [batch]; the labels from number `first` on. A hit is a row whose
// largest value, the first of equals, is the label's.
kernel void softmax_cross_entropy(global const float* logits, global const int* labels, uint first,
                                  global float* dlogits, global float* row_losses,
                                  global float* row_hits, int classes, int stride) {
  local float scratch[ITEMS];
  const size_t row = get_group_id(0);
  const int vectors = stride / 16;
  const int label = labels[first + row];
  const int label_is_known = is_column(label, classes);
  const int known_label = label_is_known ? label : -1;  // no column bears -1
  logits += row * stride;
  dlogits += row * stride;

  float16 largest_lanes = -INFINITY;
  FOR_MY_VECTORS(vectors) {
    const int16 real = COLUMN_IDS + i * 16 < classes;
    largest_lanes = select(largest_lanes, fmax(largest_lanes, vload16(i, logits)), real);
  }
  const float largest = max_of_group(max_of_lanes(largest_lanes), scratch);

  // exp(logit − largest) waits in dlogits until the sum is known.
  float16 sum_lanes = 0;
  float16 negated_first = -INFINITY;
  FOR_MY_VECTORS(vectors) {
    const int16 column = COLUMN_IDS + i * 16;
    const float16 logit = vload16(i, logits);
    const float16 power = select((float16)(0), exp(logit - largest), column < classes);
    sum_lanes += power;
    negated_first = negated_first_of(negated_first, logit, largest, column, classes);
    vstore16(power, i, dlogits);
  }
  const float sum = sum_of_group(sum_of_lanes(sum_lanes), scratch);
  const float prediction = -max_of_group(max_of_lanes(negated_first), scratch);

  FOR_MY_VECTORS(vectors) {
    const int16 column = COLUMN_IDS + i * 16;
    const float16 one_hot = select((float16)(0), (float16)(1), column == known_label);
    const float16 gradient = vload16(i, dlogits) / sum - one_hot;
    vstore16(select((float16)(0), gradient, column < classes), i, dlogits);
  }
  if (get_local_id(0) == 0) {
    row_losses[row] = label_is_known ? log(sum) - (logits[label] - largest) : NAN;
    row_hits[row] = label_is_known && prediction == label ? 1 : 0;
  }
}

// The same for the mean over the columns of (value − target)², whose targets are 1 in the label's column and 0 in
// the others.
kernel void mean_squared_error(global const float* values, global const int* labels, uint first,
                               global float* dvalues, global float* row_losses,
                               global float* row_hits, int columns, int stride) {
  local float scratch[ITEMS];
  const size_t row = get_group_id(0);
  const int vectors = stride / 16;
  const int label = labels[first + row];
  values += row * stride;
  dvalues += row * stride;

  float16 sum_lanes = 0;
  float16 largest_lanes = -INFINITY;
  FOR_MY_VECTORS(vectors) {
    const int16 column = COLUMN_IDS + i * 16;
    const float16 value = vload16(i, values);
    const float16 target = select((float16)(0), (float16)(1), column == label);
    const float16 difference = select((float16)(0), value - target, column < columns);
    sum_lanes += difference * difference;
    largest_lanes = select(largest_lanes, fmax(largest_lanes, value), column < columns);
    vstore16(2 * difference / columns, i, dvalues);
  }
  const float sum = sum_of_group(sum_of_lanes(sum_lanes), scratch);
  const float largest = max_of_group(max_of_lanes(largest_lanes), scratch);
  float16 negated_first = -INFINITY;
  FOR_MY_VECTORS(vectors) {
    negated_first =
        negated_first_of(negated_first, vload16(i, values), largest, COLUMN_IDS + i * 16, columns);
  }
  const float prediction = -max_of_group(max_of_lanes(negated_first), scratch);
  if (get_local_id(0) == 0) {
    row_losses[row] = is_column(label, columns) ? sum / columns : NAN;
    row_hits[row] = is_column(label, columns) && prediction == label ? 1 : 0;
  }
}

// One work-group a row: the row's gradient times the row's weight.
kernel void weigh_rows(global float* gradient, global const float* weights, int stride) {
  const size_t row = get_group_id(0);
  const float weight = weights[row];
  FOR_MY_VECTORS(stride / 16) {
    const size_t at = row * (stride / 16) + i;
    vstore16(weight * vload16(at, gradient), at, gradient);
  }
}

// One work-item a weight: times the scale, or, where all are new, the scale itself.
kernel void scale_weights(global float* weights, int batch, int are_new, global const float* scale) {
  const int row = get_global_id(0);
  if (row >= batch) return;
  weights[row] = are_new ? scale[0] : scale[0] * weights[row];
}

// One work-group in all: statistics [3] = over passes of `batch` rows each, the sum of the losses, the
// sum of the hits, rows. 16 floats behind the last row may be read.
kernel void sum_rows(global const float* row_losses, global const float* row_hits,
                     global float* statistics, int batch, int passes) {
  local float scratch[ITEMS];
  float kept_losses[pass_levels], kept_hits[pass_levels];
  float loss = 0;
  float hit = 0;
  for (int pass = 0; pass < passes; ++pass) {
    float16 losses = 0;
    float16 hits = 0;
    FOR_MY_VECTORS((batch + 15) / 16) {
      const int16 real = COLUMN_IDS + i * 16 < batch;
      losses += select((float16)(0), vload16(i, row_losses), real);
      hits += select((float16)(0), vload16(i, row_hits), real);
    }
    loss = sum_of_group(sum_of_lanes(losses), scratch);
    hit = sum_of_group(sum_of_lanes(hits), scratch);
    ADD_PASS(loss, pass, kept_losses);
    ADD_PASS(hit, pass, kept_hits);
    row_losses += batch;
    row_hits += batch;
  }
  if (get_local_id(0) == 0) {
    statistics[0] = loss;
    statistics[1] = hit;
    statistics[2] = batch * passes;
  }
}
