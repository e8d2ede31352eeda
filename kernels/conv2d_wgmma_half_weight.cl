// Weight gradient of a 2-D convolution on NVIDIA Hopper's tensor cores by warpgroup (wgmma): bfloat16 or float16
// operands, float32 sums, stride 1, maps whose width is a multiple of 8.
//
// As in conv2d_wgmma_weight.cl a work-group keeps the sums of all taps x BLOCK channels of x x 64 channels of dy in
// registers and goes through its share of the pixels, TILE at a time; each warpgroup has one row of the kernel. Of 16-bit
// operands the tensor cores take either order, so both lie as they come, a pixel behind a pixel, in planes of eight
// channels: eight pixels side by side of a plane are a block that they read at once, a tap moves the left operand's start
// by a pixel, and the two groups of eight pixels that a product takes may be any number of bytes apart.
//
// What is copied as float32 is rounded into the planes one tile ahead of the products, and copied two ahead.
#ifndef SOURCE_LINE
#error "built by ops/conv2d_mma.cpp with the geometry of one layer"
#endif
#include "mma.clh"
#define WGMMA_COLUMNS 64
#define WGMMA_TRANSPOSED 1
#include "wgmma.clh"
#include "copy_engine.clh"
#include "conv2d_mma_norm.clh"
#include "conv2d_mma_gradient.clh"
#include "conv2d_wgmma_weight.clh"
#if FORMAT == TF32 || POOL != 1 || NORM_GRADIENT || STRIDE != 1 || TILE != 64 || WARPS_N != 2 || BLOCK != 64
#error "not what this kernel is for"
#endif

enum {
  planes = BLOCK / 8,
  tile_turns = (tile_items + threads - 1) / threads,
  // Pixels of a plane, 16 bytes each; the next plane's are in other banks.
  run_plane = (RUN + 7) / 8 * 128 + 16,
  tile_plane = TILE * 16 + 16,
  // As they come, twice: x, dy, and behind them a word for each pixel of x: is it inside?
  raw_run = RUN * BLOCK * 4,
  raw_tile = TILE * BLOCK * 4,
  raw_bytes = raw_run + raw_tile + (NORMALISED ? (RUN + 3) / 4 * 16 : 0),
  // As they are multiplied, twice.
  packed_at = 2 * raw_bytes,
  packed_run = planes * run_plane,
  packed_bytes = packed_run + planes * tile_plane,
  law_at = packed_at + 2 * packed_bytes,  // mean, scale and beta of the block's channels
};

// Planes that are `plane` bytes apart, and the second eight pixels `pixels` bytes behind the first (9.7.15.5.1.2).
INLINE ulong descriptor(uint address, int pixels, int plane) {
  return (ulong)((address & 0x3FFFF) >> 4) | (ulong)(pixels >> 4) << 16 | (ulong)(plane >> 4) << 32;
}

// Sets out to bring the run of x that the windows of a tile's units look at, and the tile's dy, zeros past the last unit
// and channel. All vectors of a work-item are of the same channels of their pixels.
INLINE void load_tile(uint raw, __global const float* x, __global const float* dy, int unit0, int units, int channel,
                      int column0) {
  const int first = corner_of(unit0, 0), run = run_of(unit0, units);
#pragma unroll 4
  for (int i = get_local_id(0); i < run * vectors; i += threads)
    copy_vector(raw + i * 16, x + (size_t)(first + i / vectors) * SOURCE_CHANNELS + channel + i % vectors * 4, 16);
#if NORMALISED
  __local int* inside = (__local int*)shared_floats(raw + raw_run + raw_tile);
  for (int i = get_local_id(0); i < run; i += threads) inside[i] = is_inside(first + i);
#endif
  const int column = column0 + get_local_id(0) % vectors * 4;
#pragma unroll
  for (int turn = 0; turn < tile_turns; ++turn) {
    const int i = turn * threads + get_local_id(0);
    const int unit = unit0 + i / vectors, there = min(unit, units - 1);
    const int inside_ = unit < units && column < WEIGHT_PIXEL;
    if (i < tile_items) {
      copy_vector(raw + raw_run + i * 16,
                  dy + place_in_gradient(there) + (inside_ ? column : 0), inside_ ? 16 : 0);
    }
  }
}

// Where four channels of a pixel lie in their plane.
INLINE uint place_of(uint first_plane, int plane, int i) {
  return first_plane + i % vectors / 2 * plane + i / vectors * 16 + i % 2 * 8;
}

// Rounds what this work-item has brought into the planes, and adds its dy, as it was, to its share of the bias's
// gradient.
INLINE void prepare_tile(uint memory, uint raw, uint packed, int run, float bias[4]) {
  float values[4];
#if NORMALISED
  Law law;
  const uint of = memory + law_at + get_local_id(0) % vectors * 16;
  read_four(of, law.mean);
  read_four(of + BLOCK * 4, law.scale);
  read_four(of + 2 * BLOCK * 4, law.beta);
#endif
#pragma unroll 4
  for (int i = get_local_id(0); i < run * vectors; i += threads) {
    read_four(raw + i * 16, values);
#if NORMALISED
    if (read_word(raw + raw_run + raw_tile + i / vectors * 4)) {
#pragma unroll
      for (int c = 0; c < 4; ++c) values[c] = normalised(values[c], law.mean[c], law.scale[c], law.beta[c]);
    }
#endif
    store_words(place_of(packed, run_plane, i), round_pair(values[0], values[1]), round_pair(values[2], values[3]));
  }
#pragma unroll
  for (int turn = 0; turn < tile_turns; ++turn) {
    const int i = turn * threads + get_local_id(0);
    if (i < tile_items) {
      read_four(raw + raw_run + i * 16, values);
#pragma unroll
      for (int c = 0; c < 4; ++c) bias[c] += values[c];
      store_words(place_of(packed + packed_run, tile_plane, i), round_pair(values[0], values[1]),
                  round_pair(values[2], values[3]));
    }
  }
}

// Starts the products of 16 pixels of a tile in `packed`, of two groups.
INLINE void multiply(float sum[KERNEL][32], uint packed, int unit0, int units, int kernel_row, int pixel) {
  // Past the last unit as the last group: there dy is zero.
  const int first = corner_of(unit0, 0) - kernel_row * SOURCE_LINE, last = units - group;
  const int near = corner_of(min(unit0 + pixel, last), 0) - first;
  const int far = corner_of(min(unit0 + pixel + group, last), 0) - first;
  const ulong right = descriptor(packed + packed_run + pixel * 16, group * 16, tile_plane);
  wgmma_fence();
#pragma unroll
  for (int tap = 0; tap < KERNEL; ++tap)
    wgmma(sum[tap], descriptor(packed + (near + tap) * 16, (far - near) * 16, run_plane), right);
  wgmma_commit();
}

// As weight_gradient of conv2d_mma_weight.cl.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void weight_gradient(
    __global const float* restrict x, __global const float* restrict dy,
    __global const uchar* restrict places, __global float* restrict partial, int batch,
    int tiles_per_chunk, __global const float* restrict norm, int norm_row,
    __global const float* restrict z) {
  use_hopper_instructions();
  const uint memory = allocate_shared();
  const size_t first_image = get_group_id(2) * (size_t)batch;
  x += first_image * SOURCE_IMAGE * SOURCE_CHANNELS;
  dy += first_image * DY_IMAGE;
  const int block = (int)get_group_id(0) % source_blocks;
  const int column0 = (int)get_group_id(0) / source_blocks * tile_columns;
  const Share share = share_of(batch, tiles_per_chunk);
  const int units = share.units, begin = share.begin, end = share.end;
  const int lane = get_local_id(0) % 32, warp = get_local_id(0) / 32 % 4;
  const int kernel_row = get_local_id(0) / 128;

  float sum[KERNEL][32];
#pragma unroll
  for (int i = 0; i < KERNEL * 32; ++i) sum[i / 32][i % 32] = 0.0f;
  float bias[4] = {0.0f, 0.0f, 0.0f, 0.0f};

#if NORMALISED
  store_input_law(memory + law_at, norm, norm_row, block * BLOCK, threads);
#endif
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
    if (begin + tile * TILE < end)
      load_tile(memory + tile * raw_bytes, x, dy, begin + tile * TILE, units, block * BLOCK, column0);
    copies_commit();
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // the law and what is inside are there
  copies_wait(1);
  prepare_tile(memory, memory, memory + packed_at, run_of(begin, units), bias);

  int parity = 0;
  for (int unit0 = begin; unit0 < end; unit0 += TILE) {
    const int next = unit0 + TILE;
    const uint packed = memory + packed_at + parity * packed_bytes;
    fence_async_proxy();
    barrier(CLK_LOCAL_MEM_FENCE);  // the tile is there for all, and nobody reads the one before any more

    // A work-item waits to start products while others are under way; copies and rounding go in between.
    multiply(sum, packed, unit0, units, kernel_row, 0);
    if (next + TILE < end)  // where what lay there is in the planes
      load_tile(memory + parity * raw_bytes, x, dy, next + TILE, units, block * BLOCK, column0);
    copies_commit();
    warp_meet();
    multiply(sum, packed, unit0, units, kernel_row, 16);
    copies_wait(1);
    parity = 1 - parity;
    if (next < end) {
      prepare_tile(memory, memory + parity * raw_bytes, memory + packed_at + parity * packed_bytes, run_of(next, units),
                   bias);
    }
    warp_meet();
    multiply(sum, packed, unit0, units, kernel_row, 32);
    multiply(sum, packed, unit0, units, kernel_row, 48);
    warp_meet();
    wgmma_wait_all();
  }
#pragma unroll
  for (int tap = 0; tap < KERNEL; ++tap) settle(sum[tap]);

  partial = part_of(partial);
  barrier(CLK_LOCAL_MEM_FENCE);
  if (block == 0) store_column_sums(memory, partial, bias, column0, threads);
  store_sums(partial, sum, block * BLOCK + warp * 16 + lane / 4, 8, column0);
}
