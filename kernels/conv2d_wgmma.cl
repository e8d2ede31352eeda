// 2-D convolution on NVIDIA Hopper's tensor cores by warpgroup (wgmma): forward with bias and ReLU, and input gradient,
// for stride 1 and maps of 8 x 8 pixels or a multiple. TF32, bfloat16 or float16 operands, float32 sums.
//
// As in conv2d_mma.cl, which it shares its tiles with, 16 channels at a time of the run of pixels that a tile's windows
// look at come to shared memory once, and every tap multiplies that run shifted; the weights come in steps, one row of
// the kernel x 16 channels. Here the tensor cores read the run themselves. A row of their left operand is a pixel, eight
// rows are eight pixels side by side, and from those to the next eight it is a fixed number of bytes: a line of the
// source, so 64 rows are a patch of 8 x 8 pixels. A tap moves the operand's start; the permutation of the chunks goes by
// addresses, so it does not mind where that is.
//
// The weights lie packed as a step multiplies them, so a step's are one bulk copy. The products of a step are under way
// while the next one's are begun or its run is prepared.
#ifndef SOURCE_LINE
#error "built by ops/conv2d_mma.cpp with the geometry of one layer"
#endif
#if KERNEL < 2
#error "the next run is loaded in a block's second kernel row"
#endif
#include "mma.clh"
#define WGMMA_COLUMNS (8 * COLUMN_TILES)
#include "wgmma.clh"
#include "copy_engine.clh"
#include "conv2d_mma_norm.clh"
#include "conv2d_mma_tile.clh"
#include "conv2d_mma_statistics.clh"

enum {
  slice = 16,  // channels
  raw_bytes = slice * 4,
  pixel_bytes = FORMAT == TF32 ? raw_bytes : raw_bytes / 2,  // as they are multiplied
  chunks = pixel_bytes / 16,
  blocks = SOURCE_CHANNELS / slice,
  steps = blocks * KERNEL,
  ahead = STAGES - 2,  // steps that the weights are under way: a stage's are read until its next but one's begin
  tap_bytes = tile_columns * pixel_bytes,
  stage_bytes = KERNEL * tap_bytes,
  run_bytes = (RUN * pixel_bytes + 1023) / 1024 * 1024,
  weights_at = 2 * run_bytes,
  raw_at = weights_at + STAGES * stage_bytes,  // of 16-bit operands alone
  // Barriers: a stage's bytes are there; all warps are done with a stage; with a place of the run.
  filled = (FORMAT == TF32 ? raw_at : raw_at + RUN * raw_bytes),
  drained = filled + 8 * STAGES,
  run_drained = drained + 8 * STAGES,
  knows_inside = RUN * 4 <= 32 * threads,      // a bit for each of a work-item's vectors
};

// Chunk of 16 bytes of a pixel, or of a column of the weights, permuted as the tensor cores have it for rows of 64 or 32
// bytes (9.7.15.5.1.2): bits 4 and 5 of its address by bits 7 and 8, or bit 4 by bit 7.
INLINE uint chunk_at(uint base, int row, int chunk) {
  return FORMAT == TF32 ? base + row * 64 + ((chunk ^ (row >> 1 & 3)) << 4)
                        : base + row * 32 + ((chunk ^ (row >> 2 & 1)) << 4);
}

// Rows that are so permuted, `bytes` from eight of them to the next eight.
INLINE ulong descriptor(uint address, int bytes) {
  const ulong swizzle = FORMAT == TF32 ? 2 : 3;  // of 64 bytes, of 32
  return (ulong)((address & 0x3FFFF) >> 4) | 1ul << 16 | (ulong)(bytes >> 4) << 32 | swizzle << 62;
}

#include "conv2d_mma_run.clh"

// Where vector `i` of the run is brought to: for TF32 where it is multiplied.
INLINE uint raw_vector(uint memory, int block, int i) {
  return FORMAT == TF32 ? chunk_at(memory + block % 2 * run_bytes, i / 4, i % 4) : memory + raw_at + i * 16;
}

// 16 channels of the run, number `block`, on their way.
INLINE void load_run(uint memory, __global const float* source, const Run run, int block) {
#pragma unroll 4
  for (int i = get_local_id(0); i < run.count * 4; i += threads) {
    copy_vector(raw_vector(memory, block, i),
                source + (size_t)(run.first + i / 4) * SOURCE_CHANNELS + block * slice + i % 4 * 4, 16);
  }
}

// Makes of what this work-item has brought, and nobody has read yet, what the tensor cores take. `law`: of its
// channels, which are the same for all of its vectors.
INLINE void prepare_run(uint memory, const Run run, int block, const Law law) {
  uint inside = run.inside;
  for (int i = get_local_id(0); i < run.count * 4; i += threads, inside >>= 1) {
    const uint raw = raw_vector(memory, block, i);
    float values[4];
    read_four(raw, values);
#if NORMALISED && !TURNED
    if (knows_inside ? inside & 1 : is_inside(run.first + i / 4)) {
#pragma unroll
      for (int c = 0; c < 4; ++c) values[c] = normalised(values[c], law.mean[c], law.scale[c], law.beta[c]);
    }
#endif
#if FORMAT == TF32
#pragma unroll
    for (int c = 0; c < 4; ++c) values[c] = prepare(values[c]);
    store_vector(raw, values);
#else
    store_words(chunk_at(memory + block % 2 * run_bytes, i / 4, i % 4 / 2) + i % 2 * 8, round_pair(values[0], values[1]),
                round_pair(values[2], values[3]));
#endif
  }
}

// The weights of a step, one row of the kernel x 16 channels of the source, for a tile of the target's channels, of which
// `packed` are the first ones. By one work-item.
INLINE void load_weights(uint memory, __global const uchar* packed, int step) {
  const int stage = step % STAGES;
  if (step >= STAGES) barrier_wait(memory + drained + 8 * stage, (step / STAGES - 1) & 1);
  barrier_expect_bytes(memory + filled + 8 * stage, stage_bytes);
  bulk_copy(memory + weights_at + stage * stage_bytes, packed + (size_t)step * stage_bytes, stage_bytes,
            memory + filled + 8 * stage);
}

// Work-groups: tiles of units x tiles of channels, the latter side by side. `other`: bias, or the gate of TURNED.
// `packed`: [tile of channels][step][tap of the row][channel] of 16 channels of the source, as conv2d_mma_pack.cl leaves
// it, in the format and permuted. `places` is not read.
// `norm` is read for NORMALISED alone, `tile_first` and `tile_second` are written for STATISTICS.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void product(
    __global const float* restrict source, __global const float* restrict packed,
    __global const float* restrict other, __global uchar* restrict places,
    __global float* restrict target, int batch, int finish, __global const float* restrict norm, int norm_row,
    __global float* restrict tile_first, __global float* restrict tile_second) {
  use_hopper_instructions();
  const uint memory = allocate_shared();
  const int column0 = (int)get_group_id(0) % column_tiles * tile_columns;
  const int first_unit = (int)get_group_id(0) / column_tiles * tile_units;
  const int last_unit = batch * units_per_image - 1;
  const int first = corner_of(first_unit, 0, 0);
  const Run run = run_of(first, corner_of(min(first_unit + tile_units - 1, last_unit), 0, 0) + reach - first);

  const int is_leader = get_local_id(0) % 32 == 0;
  packed += (size_t)((int)get_group_id(0) % column_tiles) * steps * (stage_bytes / 4);
  if (get_local_id(0) == 0) {
    for (int i = 0; i < STAGES; ++i) {
      barrier_init(memory + filled + 8 * i, 1);
      barrier_init(memory + drained + 8 * i, threads / 32);
    }
    for (int i = 0; i < 2; ++i) barrier_init(memory + run_drained + 8 * i, threads / 32);
    fence_async_proxy();
    for (int step = 0; step < min((int)ahead, (int)steps); ++step)
      load_weights(memory, (__global const uchar*)packed, step);
  }
  load_run(memory, source, run, 0);
  copies_commit();
  // Of a patch that is beyond the batch, the last one's.
  uint window[row_tiles];
#pragma unroll
  for (int i = 0; i < row_tiles; ++i) {
    const int unit = first_unit + ((int)get_local_id(0) / 128 * row_tiles + i) * patch_units;
    window[i] = (corner_of(min(unit, last_unit / patch_units * patch_units), 0, 0) - first) * pixel_bytes;
  }
  float sum[row_tiles][COLUMN_TILES][4];
#pragma unroll
  for (int i = 0; i < row_tiles * COLUMN_TILES * 4; ++i)
    sum[i / (4 * COLUMN_TILES)][i / 4 % COLUMN_TILES][i % 4] = 0.0f;

  int step = 0;
  for (int block = 0; block < blocks; ++block) {
    Law law;
#if NORMALISED && !TURNED
    law = law_of(norm, norm_row, block * slice + get_local_id(0) % 4 * 4);
#endif
    copies_wait(0);
    prepare_run(memory, run, block, law);
    fence_async_proxy();
    barrier(CLK_LOCAL_MEM_FENCE);  // the run is there for all
    for (int kernel_row = 0; kernel_row < KERNEL; ++kernel_row, ++step) {
      if (get_local_id(0) == 0 && step + ahead < steps)
        load_weights(memory, (__global const uchar*)packed, step + ahead);
      if (kernel_row == 1 && block + 1 < blocks) {
        if (block > 0) barrier_wait(memory + run_drained + 8 * ((block - 1) % 2), (block - 1) / 2 & 1);
        load_run(memory, source, run, block + 1);
        copies_commit();
      }
      warp_meet();
      barrier_wait(memory + filled + 8 * (step % STAGES), step / STAGES & 1);

      const uint run_at = memory + block % 2 * run_bytes + kernel_row * SOURCE_LINE * pixel_bytes;
      const uint stage = memory + weights_at + step % STAGES * stage_bytes;
      wgmma_fence();
#pragma unroll
      for (int tap = 0; tap < KERNEL; ++tap) {
#pragma unroll
        for (int part = 0; part < chunks / 2; ++part) {
          const ulong right = descriptor(stage + tap * tap_bytes + part * 32, 8 * pixel_bytes);
#pragma unroll
          for (int i = 0; i < row_tiles; ++i) {
            wgmma(&sum[i][0][0],
                  descriptor(run_at + window[i] + tap * pixel_bytes + part * 32, SOURCE_LINE * pixel_bytes), right);
          }
        }
      }
      wgmma_commit();
      wgmma_wait_all_but_one();
      // Those of the step before are done.
      if (is_leader && step > 0) {
        barrier_arrive(memory + drained + 8 * ((step - 1) % STAGES));
        if (kernel_row == 0) barrier_arrive(memory + run_drained + 8 * ((block - 1) % 2));
      }
    }
  }
  wgmma_wait_all();
#pragma unroll
  for (int i = 0; i < row_tiles; ++i) settle(&sum[i][0][0]);
  float parts[COLUMN_TILES][4];
  store_tile(sum, target, other, places, first_unit, column0, last_unit + 1, finish, norm, norm_row, parts);
#if STATISTICS
  barrier(CLK_LOCAL_MEM_FENCE);  // nobody waits for a barrier of the operands any more
  if (get_local_id(0) == 0) {
    for (int i = 0; i < 2 * STAGES + 2; ++i) barrier_end(memory + filled + 8 * i);
  }
  keep_parts(memory, sum, parts, tile_first, tile_second, first_unit / tile_units, column0, last_unit + 1 - first_unit);
#endif
}
