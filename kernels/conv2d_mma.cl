// 2-D convolution on NVIDIA's tensor cores by warp: forward with bias, ReLU and max-pool, and input gradient. TF32,
// bfloat16 or float16 operands, float32 sums.
//
// A work-group computes a tile of pixels x channels of the target. Pixels that follow one another look at pixels of the
// source that follow one another, borders and image ends included: so all windows of a tile lie in one run of pixels,
// of which 16 channels at a time are brought to shared memory once, and every tap of the kernel multiplies that run
// shifted. The weights come in steps, one row of the kernel x 16 channels. Copies run ahead of the products (cp.async);
// who copied a vector prepares it for the tensor cores as well.
//
// The input gradient is the forward pass from dy with the kernel turned (TURNED), for stride 1. Where dy is that of a
// max-pool's output (UNPOOL), the run is made from it and the places of the maxima, window by window of the pool; its
// borders are then no memory. Where batch norm and ReLU stand in front of the source (NORMALISED), they are done as the
// run is prepared, and for the input gradient's mask. With STATISTICS what a batch norm behind (TURNED: in front) sums
// up comes out of the results on their way to memory.
#ifndef SOURCE_LINE
#error "built by ops/conv2d_mma.cpp with the geometry of one layer"
#endif
#if KERNEL < 2
#error "the next run's copies begin behind a block's first kernel row and are waited for behind its second"
#endif
#include "mma.clh"
#include "conv2d_mma_norm.clh"
#include "conv2d_mma_tile.clh"
#include "conv2d_mma_statistics.clh"

enum {
  slice = 16,  // channels
  pixel_bytes = slice * 4,
  stages = 3,  // of the weights
  blocks = SOURCE_CHANNELS / slice,
  steps = blocks * KERNEL,
  stage_bytes = KERNEL * tile_columns * pixel_bytes,
  run_bytes = RUN * pixel_bytes,
  runs = UNPOOL || blocks == 1 ? 1 : 2,
  weights_at = runs * run_bytes,
  knows_inside = RUN * 4 <= 32 * threads,  // a bit for each of a work-item's vectors
};

// 64 bytes of a pixel in chunks of 16, permuted so that eight pixels that follow one another, or every second of
// sixteen, lie in different banks.
INLINE uint chunk_at(uint base, int pixel, int chunk) {
  return base + ((((pixel << 2) ^ ((pixel >> 1) & 7)) ^ chunk) << 4);
}

// What a tile's windows look at: pixels of the source with its borders, counted over the batch.
#if UNPOOL
#include "conv2d_mma_unpool.clh"
#else
#include "conv2d_mma_run.clh"

// 16 channels of the run, number `block`, on their way to one place for even blocks and one for odd ones.
INLINE void load_run(uint memory, __global const float* source, __global const uchar* places,
                     const Run run, int block) {
#pragma unroll 4
  for (int i = get_local_id(0); i < run.count * 4; i += threads) {
    copy_vector(chunk_at(memory + block % runs * run_bytes, i / 4, i % 4),
                source + (size_t)(run.first + i / 4) * SOURCE_CHANNELS + block * slice + i % 4 * 4,
                16);
  }
}

// Makes of what this work-item has brought, and nobody has read yet, what the tensor cores take. `law`: of its
// channels, which are the same for all of its vectors.
INLINE void prepare_run(uint memory, const Run run, int block, const Law law) {
#if NORMALISED && !TURNED
  uint inside = run.inside;
  for (int i = get_local_id(0); i < run.count * 4; i += threads, inside >>= 1) {
    if (knows_inside ? inside & 1 : is_inside(run.first + i / 4))
      normalise_vector(chunk_at(memory + block % runs * run_bytes, i / 4, i % 4), law);
  }
#elif FORMAT == TF32
  for (int i = get_local_id(0); i < run.count * 4; i += threads) {
    float values[4];
    prepare_vector(chunk_at(memory + block % runs * run_bytes, i / 4, i % 4), values);
  }
#endif
}
#endif

// The packed weights of one row of the kernel, 16 channels of the source from `channel` on, a tile of the target's from
// `column0` on.
INLINE void load_weights(uint target, __global const float* packed, int kernel_row, int channel,
                         int column0) {
#pragma unroll
  for (int i = get_local_id(0); i < KERNEL * tile_columns * 4; i += threads) {
    const int column = i / 4 % tile_columns + column0;
    const int row = (kernel_row * KERNEL + i / 4 / tile_columns) * TARGET_PIXEL;
    copy_vector(chunk_at(target, i / 4, i % 4),
                packed + (size_t)(row + min(column, TARGET_PIXEL - 1)) * SOURCE_CHANNELS + channel +
                    i % 4 * 4,
                column < TARGET_PIXEL ? 16 : 0);
  }
}

// Columns 8 j + lane / 4 of the warp's, k = lane % 4 and + 4 of eight channels from 8 `part` on.
INLINE void read_weights(uint stage, int tap_column, int part, Words right[COLUMN_TILES]) {
  const int lane = get_local_id(0) % 32;
  const int column = get_local_id(0) / 32 % WARPS_N * warp_columns + lane / 16 * 8 + lane % 8;
#pragma unroll
  for (int j = 0; j < COLUMN_TILES; j += 2) {
    float values[4];
    load_matrices(
        chunk_at(stage, tap_column * tile_columns + column + j * 8, part * 2 + lane / 8 % 2), values);
    right[j] = words_of(values[0], values[1]);
    right[j + 1] = words_of(values[2], values[3]);
  }
}

// `pixel`: where in the run the windows of this lane's rows begin, and + the tap.
INLINE void multiply(uint run, const int pixel[4], uint stage, int tap_column,
                     float sum[4][COLUMN_TILES][4]) {
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    Words right[COLUMN_TILES];
    read_weights(stage, tap_column, part, right);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float values[4];
      load_matrices(chunk_at(run, pixel[i], part * 2 + get_local_id(0) % 32 / 16), values);
      const Words upper = words_of(values[0], values[2]);
      const Words lower = words_of(values[1], values[3]);
#pragma unroll
      for (int j = 0; j < COLUMN_TILES; ++j) mma(sum[i][j], upper, lower, right[j]);
    }
  }
}

// Work-groups: tiles of units x tiles of channels, the latter side by side. `other`: bias, or the gate of TURNED.
// `packed`: [tap][TARGET_PIXEL][SOURCE_CHANNELS], as conv2d_mma_pack.cl leaves it. `places`: bytes [batch, height,
// width, channels] of the pooled map; written for POOL, read for UNPOOL. `norm` is read for NORMALISED alone,
// `tile_first` and `tile_second` are written for STATISTICS.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void product(
    __global const float* restrict source, __global const float* restrict packed,
    __global const float* restrict other, __global uchar* restrict places,
    __global float* restrict target, int batch, int finish, __global const float* restrict norm, int norm_row,
    __global float* restrict tile_first, __global float* restrict tile_second) {
  const uint memory = allocate_shared();
  const int column0 = (int)get_group_id(0) % column_tiles * tile_columns;
  const int first_unit = (int)get_group_id(0) / column_tiles * tile_units;
  const int last_unit = batch * units_per_image - 1;
  const int first = corner_of(first_unit, 0, 0);
  const Run run =
      run_of(first, corner_of(min(first_unit + tile_units - 1, last_unit), 1, 1) + reach - first);

  load_run(memory, source, places, run, 0);
  load_weights(memory + weights_at, packed, 0, 0, column0);
  copies_commit();
  if (steps > 1)
    load_weights(memory + weights_at + stage_bytes, packed, 1 % KERNEL, 1 / KERNEL * slice, column0);
  copies_commit();

  const int lane = get_local_id(0) % 32;
  int corner[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int part = lane / 8 % 2;
    corner[i] = corner_of(min(first_unit + unit_of(i, part, lane % 8), last_unit), i, part) - first;
  }
  float sum[4][COLUMN_TILES][4];
#pragma unroll
  for (int i = 0; i < 16 * COLUMN_TILES; ++i)
    sum[i / (4 * COLUMN_TILES)][i / 4 % COLUMN_TILES][i % 4] = 0.0f;

  int stage = 0, block = 0, kernel_row = 0;
  for (int step = 0; step < steps; ++step) {
    Law law;
#if NORMALISED && !TURNED
    if (kernel_row == 0) law = law_of(norm, norm_row, block * slice + get_local_id(0) % 4 * 4);
#endif
    // Behind this barrier the step's operands are there for all, and those of the step before no longer read.
    copies_wait(1);
    if (kernel_row == 0) prepare_run(memory, run, block, law);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (step + 2 < steps) {
      load_weights(memory + weights_at + (stage + 2) % stages * stage_bytes, packed,
                   (step + 2) % KERNEL, (step + 2) / KERNEL * slice, column0);
    }
    if (kernel_row == 0 && block + 1 < blocks) load_run(memory, source, places, run, block + 1);
    copies_commit();
#pragma unroll
    for (int tap_column = 0; tap_column < KERNEL; ++tap_column) {
      int pixel[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) pixel[i] = corner[i] + kernel_row * SOURCE_LINE + tap_column;
      multiply(memory + block % runs * run_bytes, pixel, memory + weights_at + stage * stage_bytes,
               tap_column, sum);
    }
    stage = stage + 1 == stages ? 0 : stage + 1;
    if (++kernel_row == KERNEL) kernel_row = 0, ++block;
  }
  float parts[COLUMN_TILES][4];
  store_tile(sum, target, other, places, first_unit, column0, last_unit + 1, finish, norm, norm_row, parts);
#if STATISTICS
  copies_wait(0);
  keep_parts(memory, sum, parts, tile_first, tile_second, first_unit / tile_units, column0, last_unit + 1 - first_unit);
#endif
}
