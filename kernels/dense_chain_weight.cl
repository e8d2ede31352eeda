// The gradients of all weights and biases of a chain of dense layers (dense_chain.cl) in one launch, on NVIDIA's tensor
// cores by warp: for each layer the products of its input and its output's gradient, summed over the batch.
//
// A work-group makes a tile of 64 x 64 of one layer's weights over its share of the samples, 16 at a time from a ring
// in shared memory; a warp keeps 32 x 32 results in registers and rounds the operands as it reads them. Those of the
// first row of tiles sum the gradients themselves, for the biases. One work-group more sums what `rows` left of each
// sample.
#ifndef LAYERS
#error "built by ops/dense_chain.cpp"
#endif
#include "mma.clh"
#include "dense_chain.clh"
#include "dense_chain_tile.clh"
#include "passes.clh"

enum {
  line = tile + 8,  // four samples of eight columns lie in different banks
  operand_bytes = slice * line * 4,
  stage_bytes = 2 * operand_bytes,
  levels = 2,  // of the tree over passes that a work-group goes through
};

INLINE Words read_words(__local const float* at) {
  return words_of(prepare(at[0]), prepare(at[4 * line]));
}

// sum[row tile][column tile] += a slice of inputs, transposed, times gradients.
INLINE void multiply(uint stage, float sum[2][4][4]) {
  const int warp = get_local_id(0) / 32;
  __local const float* inputs = shared_floats(stage) + quarter() * line + warp_row() + warp % 2 * 32;
  __local const float* gradients =
      shared_floats(stage + operand_bytes) + quarter() * line + warp_row() + warp / 2 * 32;
#pragma unroll
  for (int k = 0; k < slice; k += 8) {
    Words upper[2], lower[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      upper[i] = read_words(inputs + k * line + 16 * i);
      lower[i] = read_words(inputs + k * line + 16 * i + 8);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const Words right = read_words(gradients + k * line + 8 * j);
#pragma unroll
      for (int i = 0; i < 2; ++i) mma(sum[i][j], upper[i], lower[i], right);
    }
  }
}

// sum += the products of samples [first, last), bias += their gradients where `sums_bias`.
INLINE void add_samples(uint ring, __global const float* inputs, __global const float* gradients, const Layer layer,
                        int row0, int column0, int first, int last, int sums_bias, float sum[2][4][4], float* bias) {
  const int slices = (last - first + slice - 1) / slice;
  for (int i = 0; i < stages - 1; ++i) {
    load_columns(ring + i * stage_bytes, line, inputs, layer.in, row0, first + i * slice, last);
    load_columns(ring + i * stage_bytes + operand_bytes, line, gradients, layer.out, column0, first + i * slice, last);
    copies_commit();
  }
  copies_wait(stages - 2);
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int i = 0; i < slices; ++i) {
    const uint stage = ring + i % stages * stage_bytes, free_stage = ring + (i + stages - 1) % stages * stage_bytes;
    const int next = first + (i + stages - 1) * slice;
    load_columns(free_stage, line, inputs, layer.in, row0, next, last);
    load_columns(free_stage + operand_bytes, line, gradients, layer.out, column0, next, last);
    copies_commit();
    multiply(stage, sum);
    if (sums_bias) {
      __local const float* own = shared_floats(stage + operand_bytes) + get_local_id(0);
#pragma unroll
      for (int sample = 0; sample < slice; ++sample) *bias += own[sample * line];
    }
    // Behind this barrier the next slice is there for all, and this one no longer read.
    copies_wait(stages - 2);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
}

// The sum over a work-group, in work-item 0.
INLINE float sum_of_group(uint memory, float value) {
  __local float* values = shared_floats(memory);
  values[get_local_id(0)] = value;
  for (int half_way = threads / 2; half_way > 0; half_way /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (get_local_id(0) < half_way) values[get_local_id(0)] += values[get_local_id(0) + half_way];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  const float sum = values[0];
  barrier(CLK_LOCAL_MEM_FENCE);
  return sum;
}

// statistics [3] = over passes of `batch` samples each the sum of the losses, the sum of the hits, samples.
INLINE void sum_rows(uint memory, __global const float* losses, __global const float* hits, __global float* statistics,
                     int batch, int passes) {
  float loss = 0.0f, hit = 0.0f, kept_losses[pass_levels], kept_hits[pass_levels];
  for (int pass = 0; pass < passes; ++pass, losses += batch, hits += batch) {
    loss = 0.0f, hit = 0.0f;
    for (int i = get_local_id(0); i < batch; i += threads) loss += losses[i], hit += hits[i];
    loss = sum_of_group(memory, loss);
    hit = sum_of_group(memory, hit);
    ADD_PASS(loss, pass, kept_losses);
    ADD_PASS(hit, pass, kept_hits);
  }
  if (get_local_id(0) > 0) return;
  statistics[0] = loss;
  statistics[1] = hit;
  statistics[2] = batch * passes;
}

// Work-groups: (a tile of a layer's weights; the last one: the sums over the samples, a share of a pass's samples,
// pass). partial [passes][shares][size]: the gradients of the parameters from number `base` on. A share is `share` of
// the pass's `batch` samples, the last one perhaps less. Or a work-group goes through `together` passes, up to 4, of
// one share each, and adds them by pairs.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void weight_gradients(
    __global const float* restrict x, __global const float* restrict maps, __constant const int* table,
    __global float* restrict partial, uint base, uint size, int batch, int share, int together,
    __global const float* restrict row_losses, __global const float* restrict row_hits,
    __global float* restrict statistics) {
  __constant const Layer* layers = (__constant const Layer*)table;
  const uint ring = allocate_shared();
  if (get_group_id(0) + 1 == get_num_groups(0)) {
    if (get_group_id(1) == 0 && get_group_id(2) == 0)
      sum_rows(ring, row_losses, row_hits, statistics, batch, together * (int)get_num_groups(2));
    return;
  }
  int place = get_group_id(0), number = 0;
  while (place >= tiles_of(layers[number].in) * tiles_of(layers[number].out)) {
    place -= tiles_of(layers[number].in) * tiles_of(layers[number].out);
    ++number;
  }
  const Layer layer = layers[number];
  const int row0 = place / tiles_of(layer.out) * tile, column0 = place % tiles_of(layer.out) * tile;
  __global const float* inputs = number == 0 ? x : maps + layers[number - 1].output;
  __global const float* gradients = maps + layer.gradient;
  const int column = get_local_id(0);
  const int sums_bias = row0 == 0 && column < tile;

  float bias = 0.0f, kept_bias[levels];
  float sum[2][4][4], kept[levels][2][4][4];
  int begin = (int)get_group_id(2) * together * batch;
  for (int pass = 0; pass < together; ++pass, begin += batch) {
    const int first = begin + (int)get_group_id(1) * share;
    bias = 0.0f;
#pragma unroll
    for (int i = 0; i < 32; ++i) sum[i / 16][i / 4 % 4][i % 4] = 0.0f;
    add_samples(ring, inputs, gradients, layer, row0, column0, first, min(first + share, begin + batch), sums_bias, sum,
                &bias);
    if (together == 1) break;
    copies_wait(0);  // the ring is filled anew
    barrier(CLK_LOCAL_MEM_FENCE);
    // As ADD_PASS, with indices that the compiler knows: all stays in registers.
    int is_open = 1;
#pragma unroll
    for (int level = 0; level < levels; ++level) {
      if (!is_open) continue;
      is_open = pass >> level & 1;
      if (is_open) bias += kept_bias[level];
      kept_bias[level] = bias;
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        if (is_open) sum[i / 16][i / 4 % 4][i % 4] += kept[level][i / 16][i / 4 % 4][i % 4];
        kept[level][i / 16][i / 4 % 4][i % 4] = sum[i / 16][i / 4 % 4][i % 4];
      }
    }
  }

  partial += (get_group_id(2) * get_num_groups(1) + get_group_id(1)) * (size_t)size;
  const uint weight = layer.weight - base;
  if (sums_bias && column0 + column < layer.out) partial[layer.bias - base + column0 + column] = bias;
  const int warp = get_local_id(0) / 32;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = row0 + warp % 2 * 32 + i * 8 + warp_row();
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int at = column0 + warp / 2 * 32 + j * 8 + quarter() * 2;
      if (row < layer.in && at < layer.out)
        store_pair(partial + weight + (size_t)row * layer.out + at, sum[i / 2][j][i % 2 * 2],
                   sum[i / 2][j][i % 2 * 2 + 1]);
    }
  }
}
