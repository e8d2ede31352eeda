// Adds up the partial sums that work-groups of another kernel left, one row a chunk.

#ifndef LANES
#error "built with the number of work-items that share a sum, 1 to 64"
#endif
#include "passes.clh"

enum { threads = 256, lanes = LANES, elements = threads / lanes };

// partial[passes][chunks][size]: its first `weights` columns to `weight` from float `first` on, the others to `bias`.
// The order of a sum depends on the numbers of passes and of chunks alone. Work-groups: `elements` columns.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void sum_chunks(
    __global const float* restrict partial, __global float* restrict weight,
    __global float* restrict bias, int chunks, int passes, int size, int weights, int first) {
  __local float shares[threads];
  const int item = get_local_id(0);
  const int column = (int)get_group_id(0) * elements + item % elements;
  float kept[pass_levels];
  float sum = 0.0f;
  for (int pass = 0; pass < passes; ++pass) {
    sum = 0.0f;
    if (column < size) {
#pragma unroll 8
      for (int chunk = item / elements; chunk < chunks; chunk += lanes)
        sum += partial[(size_t)chunk * size + column];
    }
    shares[item] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < elements) {
      for (int lane = 1; lane < lanes; ++lane) sum += shares[lane * elements + item];
      ADD_PASS(sum, pass, kept);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    partial += (size_t)chunks * size;
  }
  if (item >= elements || column >= size) return;
  if (column < weights) {
    weight[first + column] = sum;
  } else {
    bias[column - weights] = sum;
  }
}
