// Matrix products in float32 on NVIDIA GPUs from compute capability 8.0 (cp.async).
//
// C[m][n] = sum_k A[k][m] B[k][n], both operands with their depth outermost and rows of 16-byte
// multiples; matmul_arrange.cl brings others into that form. A work-item keeps 8 x 16 results in
// registers; slices of A and B stream into a ring of `stages` in shared memory by copies that pass
// the registers by.

#include "finish.clh"
#include "matmul_walk.clh"
#include "nvidia_memory.clh"

enum {
  tile = 128,  // of m and of n
  slice = 8,
  stages = 4,
  threads = 128,
  band = 8,  // row tiles that are walked together
};

// A work-item's share of the copies of one operand, which go on from slice to slice.
typedef struct {
  __global const float* source;  // of the next slice's first copy
  size_t row_step;               // from one copy to the next
  size_t slice_step;
  int bytes;  // of a copy; 0 outside the matrix
  int depth;  // still to come from the first copy's k on
} Stream;

enum { copies = tile / 4 * slice / threads, rows_a_copy = slice / copies };

INLINE Stream stream_of(__global const float* source, int pitch, int m0, int rows, int first,
                        int last) {
  const int k = get_local_id(0) / (tile / 4);
  const int m = m0 + get_local_id(0) % (tile / 4) * 4;
  Stream stream;
  stream.source = source + (size_t)(first + k) * pitch + m;
  stream.row_step = (size_t)rows_a_copy * pitch;
  stream.slice_step = (size_t)slice * pitch;
  stream.bytes = m < rows ? 16 : 0;
  stream.depth = last - first - k;
  return stream;
}

// target[k][m] = the next slice; zero outside the matrix.
INLINE void load(__local float* target, Stream* stream) {
  target += get_local_id(0) / (tile / 4) * tile + get_local_id(0) % (tile / 4) * 4;
  __global const float* source = stream->source;
#pragma unroll
  for (int j = 0; j < copies; ++j, source += stream->row_step)
    copy_vector(shared_address(target + j * rows_a_copy * tile), source,
                j * rows_a_copy < stream->depth ? stream->bytes : 0);
  stream->source += stream->slice_step;
  stream->depth -= slice;
}

// This work-item's place: warps of 64 x 64 results, 8 x 4 work-items each, whose rows and columns
// come in groups of four so that a warp's 16-byte reads of local memory are neighbours.
INLINE int own_row() {
  return get_local_id(0) / 32 % 2 * 64 + get_local_id(0) % 32 / 4 * 4;
}
INLINE int own_column() {
  return get_local_id(0) / 64 * 64 + get_local_id(0) % 4 * 4;
}

INLINE void read_slice(__local const float* a, __local const float* b, float left[8],
                       float right[16]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) read_local(a + i * 32, left + 4 * i);
#pragma unroll
  for (int i = 0; i < 4; ++i) read_local(b + i * 16, right + 4 * i);
}

// Back and forth over the columns: the operand at the turn stays in the register cache.
INLINE void multiply(const float left[8], const float right[16], float sum[8][16]) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int at = 0; at < 16; ++at) {
      const int j = i % 2 ? 15 - at : at;
      sum[i][j] = fma(left[i], right[j], sum[i][j]);
    }
  }
}

// Four neighbouring results: partial sums, or finished.
INLINE void store_four(__global float* c, __global const float* other, const float value[4],
                       int row, int column, int rows, int columns, int finish) {
  if (row >= rows) return;
  float v[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v[i] = value[i];
    if (column + i >= columns) continue;
    if (finish & FINISH_BIAS) v[i] += other[column + i];
    // A comparison that is false for NaN: it passes on and is found by the loss.
    if ((finish & FINISH_RELU) && v[i] < 0.0f) v[i] = 0.0f;
    if ((finish & FINISH_MASK) && other[(size_t)row * columns + column + i] <= 0.0f) v[i] = 0.0f;
  }
  c += (size_t)row * columns + column;
  if (columns % 4 == 0) {
    if (column < columns) store_global(c, v);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (column + i < columns) c[i] = v[i];
  }
}

// Work-groups: (tile, split of k, pass: the next `depth` rows of both operands).
// c[pass][split][rows][columns] = partial sums where there are several passes or splits; otherwise
// the results. finish: as finish.clh has it.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void product(
    __global const float* restrict a, __global const float* restrict b, __global float* restrict c,
    __global const float* restrict other, int rows, int columns, int depth, int a_pitch,
    int b_pitch, int split_depth, int finish) {
  SHARED_FLOATS(left_ring, stages, slice * tile, 0);
  SHARED_FLOATS(right_ring, stages, slice * tile, stages * slice * tile);

  const Place place =
      place_of(get_group_id(0), (rows + tile - 1) / tile, (columns + tile - 1) / tile, band);
  const int m0 = place.row * tile, n0 = place.column * tile;
  a += get_group_id(2) * (size_t)depth * a_pitch;
  b += get_group_id(2) * (size_t)depth * b_pitch;
  const int first = get_group_id(1) * split_depth;
  const int last = min(first + split_depth, depth);
  const int steps = (last - first + slice - 1) / slice;

  Stream left_stream = stream_of(a, a_pitch, m0, rows, first, last);
  Stream right_stream = stream_of(b, b_pitch, n0, columns, first, last);
  for (int step = 0; step < stages - 1; ++step) {
    load(left_ring[step], &left_stream);
    load(right_ring[step], &right_stream);
    copies_commit();
  }
  copies_wait(stages - 2);
  barrier(CLK_LOCAL_MEM_FENCE);

  float sum[8][16];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 16; ++j) sum[i][j] = 0.0f;
  }
  // Operands of two k: one set is multiplied while the other is read.
  float left[2][8], right[2][16];
  read_slice(left_ring[0] + own_row(), right_ring[0] + own_column(), left[0], right[0]);
  int stage = 0;
  for (int step = 0; step < steps; ++step) {
    const int free_stage = stage == 0 ? stages - 1 : stage - 1;
    load(left_ring[free_stage], &left_stream);
    load(right_ring[free_stage], &right_stream);
    copies_commit();
#pragma unroll
    for (int k = 0; k < slice; ++k) {
      if (k == slice - 1) {
        // Behind this barrier the next slice is there for all, and the one before it no longer
        // read.
        copies_wait(stages - 2);
        barrier(CLK_LOCAL_MEM_FENCE);
        stage = stage + 1 == stages ? 0 : stage + 1;
      }
      const int row = (k + 1) % slice * tile;
      read_slice(left_ring[stage] + row + own_row(), right_ring[stage] + row + own_column(),
                 left[(k + 1) % 2], right[(k + 1) % 2]);
      multiply(left[k % 2], right[k % 2], sum);
    }
  }

  c += (get_group_id(2) * get_num_groups(1) + get_group_id(1)) * (size_t)rows * columns;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 16; j += 4)
      store_four(c, other, sum[i] + j, m0 + own_row() + i / 4 * 32 + i % 4,
                 n0 + own_column() + j * 4, rows, columns, finish);
  }
}
