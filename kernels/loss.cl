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

// One work-group a row. row_losses and row_hits [batch]; the labels from number `first` on. A label outside [0,
// classes) makes its row's loss NaN.
kernel void softmax_cross_entropy(global const float* logits, global const int* labels, uint first,
                                  global float* dlogits, global float* row_losses,
                                  global float* row_hits, int classes, int stride) {
  local float scratch[ITEMS];
  const size_t row = get_group_id(0);
  const int vectors = stride / 16;
  const int label = labels[first + row];
  const bool label_is_known = label >= 0 && label < classes;
  const int known_label = label_is_known ? label : -1;  // no column bears -1
  logits += row * stride;
  dlogits += row * stride;

  float16 largest_lanes = -INFINITY;
  FOR_MY_VECTORS(vectors) {
    const int16 real = COLUMN_IDS + i * 16 < classes;
    largest_lanes = select(largest_lanes, fmax(largest_lanes, vload16(i, logits)), real);
  }
  const float largest = max_of_group(max_of_lanes(largest_lanes), scratch);

  // exp(logit − largest) waits in dlogits until the sum is known. The first column that holds the
  // largest logit is the prediction; column numbers are exact in float32 up to 2^24.
  float16 sum_lanes = 0;
  float16 negated_first = -INFINITY;
  FOR_MY_VECTORS(vectors) {
    const int16 column = COLUMN_IDS + i * 16;
    const float16 logit = vload16(i, logits);
    const float16 power = select((float16)(0), exp(logit - largest), column < classes);
    sum_lanes += power;
    const int16 is_largest = (logit == largest) & (column < classes);
    negated_first =
        select(negated_first, fmax(negated_first, -convert_float16(column)), is_largest);
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

// One work-group a row: the mean over the columns of (prediction − target)².
kernel void mean_squared_error(global const float* prediction, global const float* target,
                               global float* dprediction, global float* row_losses,
                               global float* row_hits, int columns, int stride) {
  local float scratch[ITEMS];
  const size_t row = get_group_id(0);
  float16 sum_lanes = 0;
  FOR_MY_VECTORS(stride / 16) {
    const size_t at = row * (stride / 16) + i;
    const float16 difference = select((float16)(0), vload16(at, prediction) - vload16(at, target),
                                      COLUMN_IDS + i * 16 < columns);
    sum_lanes += difference * difference;
    vstore16(2 * difference / columns, at, dprediction);
  }
  const float sum = sum_of_group(sum_of_lanes(sum_lanes), scratch);
  if (get_local_id(0) == 0) {
    row_losses[row] = sum / columns;
    row_hits[row] = 0;
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
