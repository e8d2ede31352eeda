// Matrix products of dense layers on GPUs: 64 x 64 results a work-group, 4 x 4 a work-item, tiles
// in local memory.
//
// The three products C[m][n] = sum_k A[m][k] B[k][n] differ in which index of A and B is
// contiguous. A dense layer's result has few tiles, so k is split over work-groups as well: each
// writes partial[split][M][N], and a second kernel adds the splits in their order and finishes the
// result (bias, ReLU, mask).

#ifndef OUT
#error "built by ops/matmul.cpp with the shape of one layer"
#endif

#include "inline.clh"
#include "passes.clh"

enum { tile = 64, slice = 16, threads = 256, sum_threads = 64 };

// target[k][m] = source[m0 + m][k0 + k], k contiguous in memory; zero outside rows x depth.
INLINE void load_along_k(__local float* target, __global const float* source, int stride, int m0,
                         int rows, int k0, int depth) {
  for (int i = get_local_id(0); i < tile * slice; i += threads) {
    const int k = k0 + i % slice;
    const int m = m0 + i / slice;
    target[i % slice * tile + i / slice] =
        m < rows && k < depth ? source[(size_t)m * stride + k] : 0.0f;
  }
}

// target[k][m] = source[k0 + k][m0 + m], m contiguous in memory; zero outside rows x depth.
INLINE void load_along_m(__local float* target, __global const float* source, int stride, int m0,
                         int rows, int k0, int depth) {
  for (int i = get_local_id(0); i < tile * slice; i += threads) {
    const int k = k0 + i / tile;
    const int m = m0 + i % tile;
    target[i] = m < rows && k < depth ? source[(size_t)k * stride + m] : 0.0f;
  }
}

// sum += A-slice * B-slice for this work-item's 4 x 4 results.
INLINE void multiply(__local const float* a, __local const float* b, float4 sum[4]) {
  const int m = get_local_id(0) / (tile / 4) * 4;
  const int n = get_local_id(0) % (tile / 4) * 4;
#pragma unroll
  for (int k = 0; k < slice; ++k) {
    const float4 left = *(__local const float4*)(a + k * tile + m);
    const float4 right = *(__local const float4*)(b + k * tile + n);
    sum[0] += left.x * right;
    sum[1] += left.y * right;
    sum[2] += left.z * right;
    sum[3] += left.w * right;
  }
}

INLINE void store(const float4 sum[4], __global float* partial, int rows, int columns) {
  const int m = get_group_id(0) * tile + get_local_id(0) / (tile / 4) * 4;
  const int n = get_group_id(1) * tile + get_local_id(0) % (tile / 4) * 4;
  partial += get_group_id(2) * (size_t)rows * columns;
  for (int i = 0; i < 4 && m + i < rows; ++i) {
    const float values[4] = {sum[i].x, sum[i].y, sum[i].z, sum[i].w};
    for (int j = 0; j < 4 && n + j < columns; ++j)
      partial[(size_t)(m + i) * columns + n + j] = values[j];
  }
}

// The three products share the loop over split `split` of k.
#define PRODUCT(load_a, a_source, a_stride, load_b, b_source, b_stride, rows, columns, all_depth, \
                split)                                                                            \
  __local float a[slice * tile] __attribute__((aligned(16)));                                     \
  __local float b[slice * tile] __attribute__((aligned(16)));                                     \
  float4 sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};                                                       \
  const int depth = min(((split) + 1) * split_depth, all_depth);                                  \
  for (int k0 = (split) * split_depth; k0 < depth; k0 += slice) {                                 \
    load_a(a, a_source, a_stride, get_group_id(0) * tile, rows, k0, depth);                       \
    load_b(b, b_source, b_stride, get_group_id(1) * tile, columns, k0, depth);                    \
    barrier(CLK_LOCAL_MEM_FENCE);                                                                 \
    multiply(a, b, sum);                                                                          \
    barrier(CLK_LOCAL_MEM_FENCE);                                                                 \
  }                                                                                               \
  store(sum, partial, rows, columns)

// Work-groups of the products: (tile of rows, tile of columns, split of k). x [rows][IN], weight [IN][OUT], dy [rows][OUT];
// partial [split][rows of the result][its columns].
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void forward(
    __global const float* restrict x, __global const float* restrict weight,
    __global float* restrict partial, int rows, int split_depth) {
  PRODUCT(load_along_k, x, IN, load_along_m, weight, OUT, rows, OUT, IN, (int)get_group_id(2));
}

__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void input_gradient(
    __global const float* restrict dy, __global const float* restrict weight,
    __global float* restrict partial, int rows, int split_depth) {
  PRODUCT(load_along_k, dy, OUT, load_along_k, weight, OUT, rows, IN, OUT, (int)get_group_id(2));
}

// The weight's splits are those of each pass of `rows` samples, one pass behind the other.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void weight_gradient(
    __global const float* restrict x, __global const float* restrict dy,
    __global float* restrict partial, int rows, int split_depth, int splits) {
  const int pass = get_group_id(2) / splits;
  x += pass * (size_t)rows * IN;
  dy += pass * (size_t)rows * OUT;
  PRODUCT(load_along_m, x, IN, load_along_m, dy, OUT, IN, OUT, rows,
          (int)get_group_id(2) - pass * splits);
}

INLINE float sum_splits(__global const float* partial, int element, int elements, int splits) {
  float sum = 0.0f;
  for (int split = 0; split < splits; ++split) sum += partial[split * (size_t)elements + element];
  return sum;
}

// The kernels that finish a result have one work-item an element.
__kernel __attribute__((reqd_work_group_size(sum_threads, 1, 1))) void finish_forward(
    __global const float* restrict partial, __global const float* restrict bias,
    __global float* restrict y, int rows, int splits, int relu) {
  const int element = get_global_id(0);
  if (element >= rows * OUT) return;
  const float value = sum_splits(partial, element, rows * OUT, splits) + bias[element % OUT];
  // A comparison that is false for NaN: it passes on and is found by the loss.
  y[element] = relu && value < 0.0f ? 0.0f : value;
}

__kernel __attribute__((reqd_work_group_size(sum_threads, 1, 1))) void finish_input_gradient(
    __global const float* restrict partial, __global const float* restrict x,
    __global float* restrict dx, int rows, int splits, int mask) {
  const int element = get_global_id(0);
  if (element >= rows * IN) return;
  const float value = sum_splits(partial, element, rows * IN, splits);
  dx[element] = mask && x[element] <= 0.0f ? 0.0f : value;
}

__kernel __attribute__((reqd_work_group_size(sum_threads, 1, 1))) void finish_weight_gradient(
    __global const float* restrict partial, __global float* restrict dweight, int splits,
    int passes) {
  const int element = get_global_id(0);
  if (element >= IN * OUT) return;
  float kept[pass_levels];
  float sum = 0.0f;
  for (int pass = 0; pass < passes; ++pass, partial += splits * (size_t)(IN * OUT)) {
    sum = sum_splits(partial, element, IN * OUT, splits);
    ADD_PASS(sum, pass, kept);
  }
  dweight[element] = sum;
}

// dbias[OUT] over passes of `rows` each. Work-groups: 8 columns; 128 rows of work-items share the sum.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void bias_gradient(
    __global const float* restrict dy, __global float* restrict dbias, int rows, int passes) {
  __local float4 sums[threads];
  const int item = get_local_id(0);
  const int column = get_group_id(0) * 8 + item % 2 * 4;
  float4 kept[pass_levels];
  float4 all = 0.0f;
  for (int pass = 0; pass < passes; ++pass, dy += (size_t)rows * OUT) {
    float4 sum = 0.0f;
#pragma unroll 8
    for (int row = item / 2; row < rows; row += threads / 2)
      sum += *(__global const float4*)(dy + (size_t)row * OUT + column);
    sums[item] = sum;
    for (int half_size = threads / 2; half_size >= 2; half_size /= 2) {
      barrier(CLK_LOCAL_MEM_FENCE);
      if (item < half_size) sums[item] += sums[item + half_size];
    }
    all = sums[item];
    ADD_PASS(all, pass, kept);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (item < 2) *(__global float4*)(dbias + column) = all;
}
