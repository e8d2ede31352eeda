// Sums of partial gradients, element by element.

#include "passes.clh"

// sum = x + sum: in this order, which a sum by pairs keeps.
kernel void add(global const float* restrict x, global float* restrict sum, uint first, uint elements) {
  const size_t i = get_global_id(0);
  if (i < elements) sum[first + i] = x[first + i] + sum[first + i];
}

// x[elements] *= factor.
kernel void scale(global float* x, float factor, uint elements) {
  const size_t i = get_global_id(0);
  if (i < elements) x[i] *= factor;
}

enum { folding_threads = 256 };

// Where the passes' values of one element lie, and what each counts.
typedef struct {
  int first, step;
  float weight;
} Source;

// sum[first + i] = the sum over the passes of value * weight, each rounded before it is added.
kernel __attribute__((reqd_work_group_size(folding_threads, 1, 1))) void fold_passes(
    global const float* restrict values, global const Source* restrict sources,
    global float* restrict sum, uint first, uint elements, int passes) {
  local float rounded[folding_threads];
  const uint i = min((uint)get_global_id(0), elements - 1);
  const Source source = sources[i];
  float kept[pass_levels];
  float all = 0.0f;
  for (int pass = 0; pass < passes; ++pass) {
    // Through local memory, so that no product is fused into a sum.
    rounded[get_local_id(0)] = values[source.first + pass * source.step] * source.weight;
    barrier(CLK_LOCAL_MEM_FENCE);
    all = rounded[get_local_id(0)];
    ADD_PASS(all, pass, kept);
  }
  if (get_global_id(0) < elements) sum[first + i] = all;
}
