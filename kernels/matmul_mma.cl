// Matrix products on NVIDIA's tensor cores from compute capability 8.0 (mma.sync), TF32, bfloat16
// or float16 operands, float32 sums.
//
// Operands, tiles and the ring as in matmul_async.cl. A warp keeps 64 x 32 results in registers and
// rounds the operands as it reads them.

#ifndef FORMAT
#error "built by ops/matmul_products.cpp"
#endif

#include "mma.clh"
#include "matmul_finish.clh"
#include "matmul_walk.clh"

enum {
  tile = 128,  // of m and of n
  slice = 8,
  stages = 4,
  threads = 256,
  band = 8,         // row tiles that are walked together
  line = tile + 8,  // so that four k of eight neighbours fall into different banks
  warp_rows = 64,
  warp_columns = 32,
  ring_bytes = slice * line * 4,  // of a stage of one operand
};

// target[k][m] = source[k0 + k][m0 + m]; zero outside.
INLINE void load(uint target, __global const float* source, int pitch, int m0, int rows,
                 int k0, int depth) {
#pragma unroll
  for (int j = 0; j < tile / 4 * slice / threads; ++j) {
    const int k = (j * threads + get_local_id(0)) / (tile / 4);
    const int m = get_local_id(0) % (tile / 4) * 4;
    copy_vector(target + (k * line + m) * 4, source + (size_t)(k0 + k) * pitch + m0 + m,
                m0 + m < rows && k0 + k < depth ? 16 : 0);
  }
}

INLINE Words read_words(uint address) {
  return words_of(prepare(shared_floats(address)[0]), prepare(shared_floats(address + 16 * line)[0]));
}

// sum[row tile][column tile] += a slice of A times a slice of B; lane l reads row or column l / 4
// of its tiles.
INLINE void multiply(uint left, uint right, float sum[4][4][4]) {
  const int place = get_local_id(0) % 4 * line + get_local_id(0) % 32 / 4;
  const int warp = get_local_id(0) / 32;
  left += (place + warp % 2 * warp_rows) * 4;
  right += (place + warp / 2 * warp_columns) * 4;
  Words upper[4], lower[4], columns[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    upper[i] = read_words(left + 64 * i);
    lower[i] = read_words(left + 64 * i + 32);
    columns[i] = read_words(right + 32 * i);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) mma(sum[i][j], upper[i], lower[i], columns[j]);
  }
}

// Work-groups: (tile, split of k, pass: the next `depth` rows of both operands).
// c[pass][split][rows][columns] = partial sums where there are several passes or splits; otherwise
// the results. finish: as finish.clh has it.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void product(
    __global const float* restrict a, __global const float* restrict b, __global float* restrict c,
    __global const float* restrict other, int rows, int columns, int depth, int a_pitch,
    int b_pitch, int split_depth, int finish) {
  const uint left_ring = allocate_shared(), right_ring = left_ring + stages * ring_bytes;

  const Place place =
      place_of(get_group_id(0), (rows + tile - 1) / tile, (columns + tile - 1) / tile, band);
  const int m0 = place.row * tile, n0 = place.column * tile;
  a += get_group_id(2) * (size_t)depth * a_pitch;
  b += get_group_id(2) * (size_t)depth * b_pitch;
  const int first = get_group_id(1) * split_depth;
  const int last = min(first + split_depth, depth);
  const int steps = (last - first + slice - 1) / slice;

  for (int step = 0; step < stages - 1; ++step) {
    load(left_ring + step * ring_bytes, a, a_pitch, m0, rows, first + step * slice, last);
    load(right_ring + step * ring_bytes, b, b_pitch, n0, columns, first + step * slice, last);
    copies_commit();
  }
  copies_wait(stages - 2);
  barrier(CLK_LOCAL_MEM_FENCE);

  float sum[4][4][4];
#pragma unroll
  for (int i = 0; i < 64; ++i) sum[i / 16][i / 4 % 4][i % 4] = 0.0f;
  int stage = 0;
  for (int step = 0; step < steps; ++step) {
    const int free_stage = stage == 0 ? stages - 1 : stage - 1;
    const int k0 = first + (step + stages - 1) * slice;
    load(left_ring + free_stage * ring_bytes, a, a_pitch, m0, rows, k0, last);
    load(right_ring + free_stage * ring_bytes, b, b_pitch, n0, columns, k0, last);
    copies_commit();
    multiply(left_ring + stage * ring_bytes, right_ring + stage * ring_bytes, sum);
    // Behind this barrier the next slice is there for all, and this one no longer read.
    copies_wait(stages - 2);
    barrier(CLK_LOCAL_MEM_FENCE);
    stage = stage + 1 == stages ? 0 : stage + 1;
  }

  // Lane l holds rows l / 4 and + 8 of a tile, columns l % 4 * 2 and + 1.
  c += (get_group_id(2) * get_num_groups(1) + get_group_id(1)) * (size_t)rows * columns;
  const int warp = get_local_id(0) / 32;
  const int row = m0 + warp % 2 * warp_rows + get_local_id(0) % 32 / 4;
  const int column = n0 + warp / 2 * warp_columns + get_local_id(0) % 4 * 2;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      store_results(c, other, sum[i][j][0], sum[i][j][1], row + 16 * i, column + 8 * j, rows,
                    columns, finish);
      store_results(c, other, sum[i][j][2], sum[i][j][3], row + 16 * i + 8, column + 8 * j, rows,
                    columns, finish);
    }
  }
}
