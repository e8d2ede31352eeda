// Matrix products in float32 on NVIDIA GPUs from compute capability 8.0 (cp.async).
//
// C[m][n] = sum_k A[k][m] B[k][n], both operands with their depth outermost and rows of 16-byte
// multiples; `turn` and `align` bring others into that form. A work-item keeps 8 x 16 results in
// registers; slices of A and B stream into a ring of `stages` in local memory by copies that pass
// the registers by.

#define INLINE inline __attribute__((always_inline))

enum {
  tile = 128,  // of m and of n
  slice = 8,
  stages = 4,
  threads = 128,
  band = 8,   // row tiles that are walked together, for the second-level cache
  edge = 64,  // of a tile that is turned
  turn_threads = 256,
};

// PTX ISA 9.7.9.25.3 cp.async. A copy of 0 bytes fills with zeros and reads nothing.
INLINE void copy_vector(__local float* target, __global const float* source, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((uint)(size_t)target),
               "l"(source), "r"(bytes)
               : "memory");
}
INLINE void copies_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
INLINE void copies_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(stages - 2) : "memory");
}

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
    copy_vector(target + j * rows_a_copy * tile, source,
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

// Four neighbouring results: partial sums, or finished with bias and ReLU or with a mask.
INLINE void store_four(__global float* c, __global const float* other, const float value[4],
                       int row, int column, int rows, int columns, int finish) {
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

// Work-groups: (tile, split of k, pass: the next `depth` rows of both operands).
// c[pass][split][rows][columns] = partial sums where there are several passes or splits; otherwise
// the results. finish: 1 add the bias `other`, 2 ReLU, 4 mask by `other`.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void product(
    __global const float* restrict a, __global const float* restrict b, __global float* restrict c,
    __global const float* restrict other, int rows, int columns, int depth, int a_pitch,
    int b_pitch, int split_depth, int finish) {
  __local float __attribute__((aligned(16))) left_ring[stages][slice * tile];
  __local float __attribute__((aligned(16))) right_ring[stages][slice * tile];

  const int row_tiles = (rows + tile - 1) / tile;
  const int column_tiles = (columns + tile - 1) / tile;
  const int first_row = (int)get_group_id(0) / (band * column_tiles) * band;
  const int height = min((int)band, row_tiles - first_row);
  const int place = (int)get_group_id(0) - first_row * column_tiles;
  const int m0 = (first_row + place % height) * tile;
  const int n0 = place / height * tile;
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
  copies_wait();
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
        copies_wait();
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

// target[columns][pitch] = the transpose of source[rows][columns]. Work-groups: (64 columns, 64
// rows).
__kernel __attribute__((reqd_work_group_size(turn_threads, 1, 1))) void turn(
    __global const float* restrict source, __global float* restrict target, int rows, int columns,
    int pitch) {
  __local float turned[edge][edge + 1];
  const int lane = get_local_id(0) % edge;
  const int line = get_local_id(0) / edge;
  const int row0 = get_group_id(1) * edge;
  const int column0 = get_group_id(0) * edge;
#pragma unroll
  for (int i = 0; i < edge; i += turn_threads / edge) {
    if (row0 + i + line < rows && column0 + lane < columns)
      turned[lane][i + line] = source[(size_t)(row0 + i + line) * columns + column0 + lane];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
  for (int i = 0; i < edge; i += turn_threads / edge) {
    if (column0 + i + line < columns && row0 + lane < rows)
      target[(size_t)(column0 + i + line) * pitch + row0 + lane] = turned[i + line][lane];
  }
}

// target[rows][pitch] = source[rows][columns]. Work-groups: (256 columns, row).
__kernel __attribute__((reqd_work_group_size(turn_threads, 1, 1))) void align(
    __global const float* restrict source, __global float* restrict target, int columns,
    int pitch) {
  const int column = get_global_id(0);
  if (column < columns)
    target[get_group_id(1) * (size_t)pitch + column] =
        source[get_group_id(1) * (size_t)columns + column];
}
