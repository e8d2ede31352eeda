// Matrix products on NVIDIA Hopper's tensor cores (wgmma), TF32, bfloat16 or
// float16 operands, float32 sums.
//
// pack_rows and pack_columns first round a float32 matrix to the compute format and lay it out as
// the tensor cores read it: blocks of 128 rows x 128 bytes of depth, each row's eight 16-byte
// chunks permuted by the row (128-byte swizzle), zeros beyond the matrix. Transposes and ragged
// edges end there; product only copies whole blocks with the bulk copy engine.
//
// product: C[m][n] = sum_k A[m][k] B[n][k]. A work-group stays on its multiprocessor and takes tile
// after tile of 128 x 256 results. One warpgroup keeps a ring of `stages` blocks filled; two others
// multiply 64 x 256 each.
//
// Sections named below are those of the PTX ISA manual, version 8.0.

#ifndef FORMAT
#error "built by ops/matmul_products.cpp"
#endif

#include "mma.clh"
#include "matmul_finish.clh"
#include "matmul_walk.clh"

enum {
  block_rows = 128,
  block_bytes = 128 * 128,
  chunk_values = FORMAT == TF32 ? 4 : 8,   // in 16 bytes
  block_depth = FORMAT == TF32 ? 32 : 64,  // in 128 bytes
  tile_rows = 128,
  tile_columns = 256,
  stages = 4,
  stage_bytes = 3 * block_bytes,  // one block of A, two of B
  warpgroup = 128,
  threads = 3 * warpgroup,
  consumer_warps = 8,
  band = 16,  // row tiles that are walked together
  pack_threads = 256,
};

// ---- packing

// Where chunk `chunk` of row `row` lies in a packed matrix of `depth_blocks` blocks a panel.
INLINE size_t chunk_index(int row, int depth_block, int chunk, int depth_blocks) {
  const size_t block = (size_t)(row / block_rows) * depth_blocks + depth_block;
  return block * (block_bytes / 16) + row % block_rows * 8 + (chunk ^ (row & 7));
}

INLINE void store_chunk(__global uint* packed, size_t chunk, const float values[chunk_values]) {
  uint words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#if FORMAT == TF32
    words[i] = as_uint(prepare(values[i]));
#else
    words[i] = round_pair(values[2 * i], values[2 * i + 1]);
#endif
  }
  store_global_words(packed + chunk * 4, words);
}

// Work-groups of both: (depth block, 128 rows). A work-item writes a chunk of every 32nd row.

// packed = source[rows][depth], depth contiguous.
__kernel __attribute__((reqd_work_group_size(pack_threads, 1, 1))) void pack_rows(
    __global const float* restrict source, __global uint* restrict packed, int rows, int depth) {
  const int chunk = get_local_id(0) % 8;
  const int k = get_group_id(0) * block_depth + chunk * chunk_values;
  const int row0 = get_group_id(1) * block_rows + get_local_id(0) / 8;
  float values[4][chunk_values];
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int row = row0 + 32 * j;
    __global const float* from = source + (size_t)row * depth + k;
    if (row < rows && k + chunk_values <= depth && depth % 4 == 0) {
#pragma unroll
      for (int i = 0; i < chunk_values; i += 4) read_global(from + i, values[j] + i);
    } else {
#pragma unroll
      for (int i = 0; i < chunk_values; ++i)
        values[j][i] = row < rows && k + i < depth ? from[i] : 0.0f;
    }
  }
#pragma unroll
  for (int j = 0; j < 4; ++j)
    store_chunk(packed, chunk_index(row0 + 32 * j, get_group_id(0), chunk, get_num_groups(0)),
                values[j]);
}

// packed = the transpose of source[depth][rows], rows contiguous.
__kernel __attribute__((reqd_work_group_size(pack_threads, 1, 1))) void pack_columns(
    __global const float* restrict source, __global uint* restrict packed, int rows, int depth) {
  __local float turned[block_depth][block_rows + 1];
  const int lane = get_local_id(0) % block_rows;
  const int row0 = get_group_id(1) * block_rows;
  const int k0 = get_group_id(0) * block_depth;
#pragma unroll
  for (int i = 0; i < block_depth; i += pack_threads / block_rows) {
    const int k = i + get_local_id(0) / block_rows;
    turned[k][lane] =
        k0 + k < depth && row0 + lane < rows ? source[(size_t)(k0 + k) * rows + row0 + lane] : 0.0f;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  // Lanes run along chunks, so that a warp writes whole lines.
  const int chunk = get_local_id(0) % 8;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int row = 32 * j + get_local_id(0) / 8;
    float values[chunk_values];
#pragma unroll
    for (int i = 0; i < chunk_values; ++i) values[i] = turned[chunk * chunk_values + i][row];
    store_chunk(packed, chunk_index(row0 + row, get_group_id(0), chunk, get_num_groups(0)), values);
  }
}

// ---- PTX

#define WGMMA_COLUMNS 256
#include "wgmma.clh"
#include "copy_engine.clh"

// Matrix descriptor: rows of 128 bytes with the 128-byte swizzle, 1024 bytes from 8 rows to the
// next 8.
INLINE ulong descriptor(uint address) {
  return (ulong)((address & 0x3FFFF) >> 4) | 1ul << 16 | 64ul << 32 | 1ul << 62;
}

// ---- product

typedef struct {
  Place place;
  int first, last;  // blocks of the depth
  int split;
} Work;

// Tile by tile, the splits of the depth outermost: `splits` of each pass of `pass_blocks`.
INLINE Work work_of(int index, int row_tiles, int column_tiles, int pass_blocks, int split_blocks,
                    int splits) {
  Work work;
  const int tiles = row_tiles * column_tiles;
  work.split = index / tiles;
  work.place = place_of(index - work.split * tiles, row_tiles, column_tiles, band);
  const int pass = work.split / splits;
  work.first = pass * pass_blocks + (work.split - pass * splits) * split_blocks;
  work.last = min(work.first + split_blocks, (pass + 1) * pass_blocks);
  return work;
}

// 9.7.15.5.1.1: lane l of warp w holds rows 16 w + l / 4 and + 8, and of every 8 columns the pair l
// % 4.
INLINE void store_tile(__global float* c, __global const float* other, const float sum[128],
                       int row, int column, int rows, int columns, int finish) {
  const int thread = get_local_id(0) % warpgroup;
  row += thread / 32 * 16 + thread % 32 / 4;
  column += thread % 4 * 2;
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    store_results(c, other, sum[4 * i], sum[4 * i + 1], row, column + 8 * i, rows, columns, finish);
    store_results(c, other, sum[4 * i + 2], sum[4 * i + 3], row + 8, column + 8 * i, rows, columns,
                  finish);
  }
}

// c[pass][split][rows][columns] = partial sums where there are several passes, each of whole blocks
// of the depth, or splits; otherwise the results.
// finish: as finish.clh has it.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void product(
    __global const uchar* restrict a, __global const uchar* restrict b, __global float* restrict c,
    __global const float* restrict other, int rows, int columns, int depth, int passes,
    int split_blocks, int finish) {
  use_hopper_instructions();
  const uint ring = allocate_shared();
  const uint filled = ring + stages * stage_bytes;  // stages barriers: the stage's bytes are there
  const uint drained = filled + 8 * stages;  // stages barriers: the stage may be filled again
  if (get_local_id(0) == 0) {
    for (int i = 0; i < stages; ++i) {
      barrier_init(filled + 8 * i, 1);
      barrier_init(drained + 8 * i, consumer_warps);
    }
    fence_async_proxy();
  }
  barrier(CLK_LOCAL_MEM_FENCE);

  const int row_tiles = (rows + tile_rows - 1) / tile_rows;
  const int column_tiles = (columns + tile_columns - 1) / tile_columns;
  const int depth_blocks = (depth + block_depth - 1) / block_depth;
  const int pass_blocks = depth_blocks / passes;
  const int splits = (pass_blocks + split_blocks - 1) / split_blocks;
  const int works = row_tiles * column_tiles * splits * passes;
  const int role = get_local_id(0) / warpgroup;
  int stage = 0;
  uint parity = 0;

  if (role == 0) {
    if (get_local_id(0) == 0) {
      for (int index = get_group_id(0); index < works; index += get_num_groups(0)) {
        const Work work =
            work_of(index, row_tiles, column_tiles, pass_blocks, split_blocks, splits);
        __global const uchar* a_panel = a + (size_t)work.place.row * depth_blocks * block_bytes;
        __global const uchar* b_panel = b + (size_t)work.place.column * 2 * depth_blocks * block_bytes;
        __global const uchar* b_next = b_panel + (size_t)depth_blocks * block_bytes;
        for (int block = work.first; block < work.last; ++block) {
          const uint target = ring + stage * stage_bytes;
          const uint full = filled + 8 * stage;
          const size_t offset = (size_t)block * block_bytes;
          barrier_wait(drained + 8 * stage, parity ^ 1);
          barrier_expect_bytes(full, stage_bytes);
          bulk_copy(target, a_panel + offset, block_bytes, full);
          bulk_copy(target + block_bytes, b_panel + offset, block_bytes, full);
          bulk_copy(target + 2 * block_bytes, b_next + offset, block_bytes, full);
          if (++stage == stages) stage = 0, parity ^= 1;
        }
      }
    }
  } else {
    const uint a_offset = (role - 1) * (block_bytes / 2);
    const int leader = get_local_id(0) % 32 == 0;
    for (int index = get_group_id(0); index < works; index += get_num_groups(0)) {
      const Work work =
            work_of(index, row_tiles, column_tiles, pass_blocks, split_blocks, splits);
      float sum[128];
#pragma unroll
      for (int i = 0; i < 128; ++i) sum[i] = 0.0f;
      int last_stage = -1;
      for (int block = work.first; block < work.last; ++block) {
        const uint base = ring + stage * stage_bytes;
        barrier_wait(filled + 8 * stage, parity);
        const ulong da = descriptor(base + a_offset);
        const ulong db = descriptor(base + block_bytes);
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < 4; ++i) wgmma(sum, da + 2 * i, db + 2 * i);  // 32 bytes of depth each
        wgmma_commit();
        wgmma_wait_all_but_one();
        if (leader && last_stage >= 0) barrier_arrive(drained + 8 * last_stage);
        last_stage = stage;
        if (++stage == stages) stage = 0, parity ^= 1;
      }
      wgmma_wait_all();
      if (leader) barrier_arrive(drained + 8 * last_stage);
      settle(sum);
      store_tile(c + (size_t)work.split * rows * columns, other, sum,
                 work.place.row * tile_rows + (role - 1) * 64, work.place.column * tile_columns, rows, columns,
                 finish);
    }
  }
}
