// Matrix products of dense layers in float32 on NVIDIA GPUs from compute capability 8.0 (cp.async).
//
// The three products C[m][n] = sum_k A[m][k] B[k][n] as in matmul_gpu.cl, k split over work-groups where the
// result has few tiles. A work-item keeps 8 x 16 results in registers. Slices of A and B stream into a ring
// of `stages` in local memory, [k][m] and [k][n], by copies that pass the registers by; a matrix whose
// k is contiguous is turned on the way, word by word.

#ifndef OUT
#error "built by ops/matmul_products.cpp with the shape of one layer"
#endif
#ifndef TILE_N
#define TILE_N 128
#endif
#ifndef DEPTH
#define DEPTH 8
#endif
#ifndef STAGES
#define STAGES 4
#endif
#ifndef BAND
#define BAND 8
#endif

#define INLINE inline __attribute__((always_inline))

enum {
  tile_m = 128,
  tile_n = TILE_N,
  slice = DEPTH,
  stages = STAGES,
  threads = tile_m / 8 * (tile_n / 16),
  stride_m = tile_m + 4,  // so that turned words fall into different banks
  stride_n = tile_n + 4,
  band = BAND,  // row tiles that are walked together, for the second-level cache
};

// PTX ISA 9.7.9.25.3 cp.async. A copy of 0 bytes fills with zeros and reads nothing.
INLINE void copy_word(__local float* target, __global const float* source, int bytes) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"((uint)(size_t)target), "l"(source),
               "r"(bytes)
               : "memory");
}
INLINE void copy_whole_word(__local float* target, __global const float* source) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"((uint)(size_t)target), "l"(source) : "memory");
}
INLINE void copy_vector(__local float* target, __global const float* source, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((uint)(size_t)target), "l"(source),
               "r"(bytes)
               : "memory");
}
INLINE void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
INLINE void copies_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(stages - 2) : "memory"); }

// target[k][m] = source[m0 + m][k0 + k], k contiguous in memory; zero outside rows x depth.
INLINE void load_along_k(__local float* target, __global const float* source, int stride, int tile,
                         int target_stride, int m0, int rows, int k0, int depth) {
  const int k = get_local_id(0) % slice;
  const int first = get_local_id(0) / slice;
  source += (size_t)(m0 + first) * stride + k0 + k;
  target += k * target_stride + first;
  if (m0 + tile <= rows && k0 + slice <= depth) {
#pragma unroll
    for (int m = 0; m < tile; m += threads / slice) copy_whole_word(target + m, source + m * stride);
  } else {
#pragma unroll
    for (int m = 0; m < tile; m += threads / slice)
      copy_word(target + m, source + m * stride, m0 + first + m < rows && k0 + k < depth ? 4 : 0);
  }
}

// target[k][m] = source[k0 + k][m0 + m], m contiguous in memory; zero outside rows x depth.
INLINE void load_along_m(__local float* target, __global const float* source, int stride, int tile,
                         int target_stride, int m0, int rows, int k0, int depth) {
  if (stride % 4 == 0) {
#pragma unroll
    for (int j = 0; j < tile / 4 * slice / threads; ++j) {
      const int i = j * threads + get_local_id(0);
      const int k = i / (tile / 4);
      const int m = i % (tile / 4) * 4;
      copy_vector(target + k * target_stride + m, source + (size_t)(k0 + k) * stride + m0 + m,
                  m0 + m < rows && k0 + k < depth ? 16 : 0);
    }
  } else {
#pragma unroll
    for (int j = 0; j < tile * slice / threads; ++j) {
      const int i = j * threads + get_local_id(0);
      const int k = i / tile;
      const int m = i % tile;
      copy_word(target + k * target_stride + m, source + (size_t)(k0 + k) * stride + m0 + m,
                m0 + m < rows && k0 + k < depth ? 4 : 0);
    }
  }
}

// This work-item's place: warps of 64 x 64 results, 8 x 4 work-items each, whose rows and columns come in
// groups of four so that a warp's 16-byte reads of local memory are neighbours.
INLINE int own_row() { return get_local_id(0) / 32 % 2 * 64 + get_local_id(0) % 32 / 4 * 4; }
INLINE int own_column() { return get_local_id(0) / 64 * 64 + get_local_id(0) % 4 * 4; }

INLINE void read_slice(__local const float* a, __local const float* b, float left[8], float right[16]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float4 v = *(__local const float4*)(a + i * 32);
    left[4 * i] = v.x, left[4 * i + 1] = v.y, left[4 * i + 2] = v.z, left[4 * i + 3] = v.w;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float4 v = *(__local const float4*)(b + i * 16);
    right[4 * i] = v.x, right[4 * i + 1] = v.y, right[4 * i + 2] = v.z, right[4 * i + 3] = v.w;
  }
}

INLINE void multiply(const float left[8], const float right[16], float sum[8][16]) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 16; ++j) sum[i][j] = fma(left[i], right[j], sum[i][j]);
  }
}

// Four neighbouring results: partial sums, or finished with bias and ReLU or with a mask.
INLINE void store_four(__global float* c, __global const float* other, const float value[4], int row, int column,
                       int rows, int columns, int finish) {
  if (row >= rows) return;
  float v[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v[i] = value[i];
    if (column + i >= columns) continue;
    if (finish & 1) v[i] += other[column + i];
    // A comparison that is false for NaN: it passes on and is found by the loss.
    if ((finish & 2) && v[i] < 0.0f) v[i] = 0.0f;
    if ((finish & 4) && other[(size_t)row * columns + column + i] <= 0.0f) v[i] = 0.0f;
  }
  c += (size_t)row * columns + column;
  if (columns % 4 == 0) {
    if (column < columns) *(__global float4*)c = (float4)(v[0], v[1], v[2], v[3]);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (column + i < columns) c[i] = v[i];
  }
}

#define LOAD(load_a, a_source, a_stride, load_b, b_source, b_stride, rows, columns, step, to)                     \
  {                                                                                                               \
    const int k0 = first + (step) * slice;                                                                        \
    load_a(a + (to) * slice * stride_m, a_source, a_stride, tile_m, stride_m, m0, rows, k0, last);                  \
    load_b(b + (to) * slice * stride_n, b_source, b_stride, tile_n, stride_n, n0, columns, k0, last);               \
    copies_commit();                                                                                              \
  }

// The three products share the loop over this work-group's split of k. Behind the barrier at the end of a
// slice, the next slice has arrived for all, and the one before is no longer read.
#define PRODUCT(load_a, a_source, a_stride, load_b, b_source, b_stride, rows, columns, all_depth)                 \
  __local float __attribute__((aligned(16))) a[stages * slice * stride_m];                                        \
  __local float __attribute__((aligned(16))) b[stages * slice * stride_n];                                        \
  const int row_tiles = (rows + tile_m - 1) / tile_m;                                                             \
  const int column_tiles = (columns + tile_n - 1) / tile_n;                                                       \
  const int first_row = (int)get_group_id(0) / (band * column_tiles) * band;                                      \
  const int height = min((int)band, row_tiles - first_row);                                                       \
  const int place = (int)get_group_id(0) - first_row * column_tiles;                                              \
  const int m0 = (first_row + place % height) * tile_m;                                                           \
  const int n0 = place / height * tile_n;                                                                         \
  const int first = get_group_id(1) * split_depth;                                                                \
  const int last = min(first + split_depth, all_depth);                                                           \
  const int steps = (last - first + slice - 1) / slice;                                                           \
  float sum[8][16];                                                                                               \
  _Pragma("unroll") for (int i = 0; i < 8; ++i) {                                                                 \
    _Pragma("unroll") for (int j = 0; j < 16; ++j) sum[i][j] = 0.0f;                                              \
  }                                                                                                               \
  for (int step = 0; step < stages - 1; ++step)                                                                   \
    LOAD(load_a, a_source, a_stride, load_b, b_source, b_stride, rows, columns, step, step)                       \
  copies_wait();                                                                                                  \
  barrier(CLK_LOCAL_MEM_FENCE);                                                                                   \
  float left[2][8], right[2][16];                                                                                 \
  read_slice(a + own_row(), b + own_column(), left[0], right[0]);                                                 \
  int stage = 0;                                                                                                  \
  for (int step = 0; step < steps; ++step) {                                                                      \
    const int free_stage = stage == 0 ? stages - 1 : stage - 1;                                                   \
    LOAD(load_a, a_source, a_stride, load_b, b_source, b_stride, rows, columns, step + stages - 1, free_stage)    \
    const int next_stage = stage + 1 == stages ? 0 : stage + 1;                                                   \
    _Pragma("unroll") for (int k = 0; k < slice; ++k) {                                                           \
      if (k == slice - 1) {                                                                                       \
        copies_wait();                                                                                            \
        barrier(CLK_LOCAL_MEM_FENCE);                                                                             \
        stage = next_stage;                                                                                       \
      }                                                                                                           \
      const int row = stage * slice + (k + 1) % slice;                                                            \
      read_slice(a + row * stride_m + own_row(), b + row * stride_n + own_column(), left[(k + 1) % 2],            \
                 right[(k + 1) % 2]);                                                                             \
      multiply(left[k % 2], right[k % 2], sum);                                                                   \
    }                                                                                                             \
  }                                                                                                               \
  c += get_group_id(1) * (size_t)rows * columns;                                                                  \
  _Pragma("unroll") for (int i = 0; i < 8; ++i) {                                                                 \
    _Pragma("unroll") for (int j = 0; j < 16; j += 4)                                                             \
        store_four(c, other, sum[i] + j, m0 + own_row() + i / 4 * 32 + i % 4, n0 + own_column() + j * 4, rows,    \
                   columns, finish);                                                                              \
  }

// Work-groups of the products: (tile, split of k). finish: 1 add the bias `other`, 2 ReLU, 4 mask by `other`;
// 0 for partial sums, c[split][rows][columns].
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void forward(
    __global const float* restrict x, __global const float* restrict weight, __global float* restrict c,
    __global const float* restrict other, int rows, int split_depth, int finish) {
  PRODUCT(load_along_k, x, IN, load_along_m, weight, OUT, rows, OUT, IN);
}

__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void input_gradient(
    __global const float* restrict dy, __global const float* restrict weight, __global float* restrict c,
    __global const float* restrict other, int rows, int split_depth, int finish) {
  PRODUCT(load_along_k, dy, OUT, load_along_k, weight, OUT, rows, IN, OUT);
}

__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void weight_gradient(
    __global const float* restrict x, __global const float* restrict dy, __global float* restrict c,
    __global const float* restrict other, int rows, int split_depth, int finish) {
  PRODUCT(load_along_m, x, IN, load_along_m, dy, OUT, IN, OUT, rows);
}
