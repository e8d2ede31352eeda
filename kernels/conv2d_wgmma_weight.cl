// Weight gradient of a 2-D convolution on NVIDIA Hopper's tensor cores by warpgroup (wgmma): TF32 operands, float32 sums,
// stride 1, maps whose width is a multiple of 8.
//
// As in conv2d_mma_weight.cl a work-group keeps the sums of all taps x BLOCK channels of x x 64 channels of dy in
// registers and goes through its share of the pixels, TILE at a time; each warpgroup has one row of the kernel. The left
// operand, channels of x x pixels, comes from registers: a lane has two groups of eight pixels side by side, goes along
// them, two at a time, and what it has read of x serves all taps of the row. The right one, channels of dy x pixels, the
// tensor cores read from shared memory, where dy is turned, so that the pixels of a product lie side by side: one of
// each group.
//
// Copies run two tiles ahead of the products; while those of a tile are under way, the next tile is prepared.
#ifndef SOURCE_LINE
#error "built by ops/conv2d_mma.cpp with the geometry of one layer"
#endif
#include "mma.clh"
#define WGMMA_COLUMNS 64
#include "wgmma.clh"
#include "copy_engine.clh"
#include "conv2d_mma_norm.clh"
#include "conv2d_mma_gradient.clh"
#include "conv2d_wgmma_weight.clh"
#if FORMAT != TF32 || POOL != 1 || NORM_GRADIENT || STRIDE != 1 || TILE != 64 || WARPS_N != 2 || BLOCK != 64
#error "not what this kernel is for"
#endif

enum {
  line = BLOCK + 4,                // floats of a pixel of x: see pixel_of
  items = 4 * BLOCK,               // of four pixels x four channels of dy
  plane_bytes = 64 * 16 + 16,      // four pixels of all channels of dy; the next one's are in other banks
  run_bytes = RUN * line * 4,
  stage_bytes = run_bytes + (NORMALISED ? (RUN + 3) / 4 * 16 : 0),  // behind x a word for each pixel: is it inside?
  raw_at = 3 * stage_bytes,        // dy as it comes, twice
  raw_bytes = items * 64,
  turned_at = raw_at + 2 * raw_bytes,  // dy as it is multiplied, twice
  turned_bytes = 2 * group * plane_bytes,
  law_at = turned_at + 2 * turned_bytes,  // mean, scale and beta of the block's channels
};

// Rows of 16 bytes side by side, eight of them 128 bytes from the next eight, and the second four pixels a plane further
// (9.7.15.5.1.2).
INLINE ulong descriptor(uint address) {
  return (ulong)((address & 0x3FFFF) >> 4) | (ulong)(plane_bytes >> 4) << 16 | 8ul << 32;
}

// Where in its group a lane is at step `i`. Groups are eight pixels apart and more, which would be the same banks: so each
// of four begins two pixels further, in others.
INLINE int pixel_of(int i, int group_) {
  return (i + 2 * group_) % group;
}

// Plane and four channels that a work-item brings and turns. Eight lanes write to different banks, two read 32 bytes side
// by side. Plane 2 i + c has what groups 4 c to 4 c + 3 multiply at step i.
INLINE int plane_of(int item) {
  return item / 2 % (2 * group);
}
INLINE int column_of(int item) {
  return (item / 32 * 2 + item % 2) * 4;
}

// Sets out to bring the run of x that the windows of a tile's units look at.
INLINE void load_run(uint stage, __global const float* x, int unit0, int units, int channel) {
  const int first = corner_of(unit0, 0), run = run_of(unit0, units);
#pragma unroll 4
  for (int i = get_local_id(0); i < run * (BLOCK / 4); i += threads) {
    const int pixel = i / (BLOCK / 4), chunk = i % (BLOCK / 4);
    copy_vector(stage + (pixel * line + chunk * 4) * 4,
                x + (size_t)(first + pixel) * SOURCE_CHANNELS + channel + chunk * 4, 16);
  }
#if NORMALISED
  __local int* inside = (__local int*)shared_floats(stage + run_bytes);
  for (int i = get_local_id(0); i < run; i += threads) inside[i] = is_inside(first + i);
#endif
}

// And this work-item's dy, zeros past the last unit and channel.
INLINE void load_item(uint raw, __global const float* dy, int unit0, int units, int column0) {
  const int item = get_local_id(0);
  if (item >= items) return;
  const int column = column0 + column_of(item);
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    const int unit = unit0 + (plane_of(item) % 2 * 4 + q) * group + pixel_of(plane_of(item) / 2, q);
    const int inside = unit < units && column < WEIGHT_PIXEL, there = min(unit, units - 1);
    copy_vector(raw + (q * items + item) * 16,
                dy + place_in_gradient(there) + (inside ? column : 0), inside ? 16 : 0);
  }
}

// Turns what this work-item has brought of dy, and adds it, as it was, to its share of the bias's gradient.
INLINE void prepare_item(uint raw, uint turned, float bias[4]) {
  const int item = get_local_id(0);
  if (item >= items) return;
  float values[4][4];
#pragma unroll
  for (int q = 0; q < 4; ++q) read_four(raw + (q * items + item) * 16, values[q]);
  const uint target = turned + plane_of(item) * plane_bytes + column_of(item) * 16;
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    float pixels[4];
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      bias[c] += values[q][c];
      pixels[q] = prepare(values[q][c]);
    }
    store_vector(target + c * 16, pixels);
  }
}

INLINE void prepare_run(uint memory, uint stage, int run) {
  // All vectors of a work-item are of the same channels of their pixels.
  enum { pixels_apart = threads / (BLOCK / 4) };
  const int chunk = get_local_id(0) % (BLOCK / 4), first = get_local_id(0) / (BLOCK / 4);
  uint vector = stage + (first * line + chunk * 4) * 4;
#if NORMALISED
  Law law;
  read_four(memory + law_at + chunk * 16, law.mean);
  read_four(memory + law_at + (BLOCK + chunk * 4) * 4, law.scale);
  read_four(memory + law_at + (2 * BLOCK + chunk * 4) * 4, law.beta);
  uint inside = stage + run_bytes + first * 4;
  for (int i = first; i < run; i += pixels_apart) {
    if (read_word(inside)) normalise_vector(vector, law);
    vector += pixels_apart * line * 4, inside += pixels_apart * 4;
  }
#else
  for (int i = first; i < run; i += pixels_apart) {
    float values[4];
    prepare_vector(vector, values);
    vector += pixels_apart * line * 4;
  }
#endif
}

typedef struct {
  float near[KERNEL + 1][2], far[KERNEL + 1][2];  // of each pixel two channels
} Window;

// What the products of steps `i` and i + 1 of this lane's groups read of x.
INLINE Window read_window(__local const float* near, __local const float* far, int i) {
  const int first = pixel_of(i, get_local_id(0) % 4);
  Window window;
#pragma unroll
  for (int p = 0; p < KERNEL + 1; ++p) {
    read_two(near + (first + p) * line, window.near[p]);
    read_two(far + (first + p) * line, window.far[p]);
  }
  return window;
}

INLINE void multiply(float sum[KERNEL][32], const Window* window, uint turned, int i) {
  wgmma_fence();
#pragma unroll
  for (int p = 0; p < 2; ++p) {
    const ulong right = descriptor(turned + (i + p) * 2 * plane_bytes);
#pragma unroll
    for (int tap = 0; tap < KERNEL; ++tap) {
      const float* near = window->near[p + tap];
      const float* far = window->far[p + tap];
      wgmma_from_registers(sum[tap], near[0], near[1], far[0], far[1], right);
    }
  }
  wgmma_commit();
}

// Column sums of dy: a work-item's share of four columns, of which as many have some as there are planes.
INLINE void store_bias(uint memory, __global float* partial, const float share[4], int column0) {
  const int item = get_local_id(0);
  if (item < items) store_vector(memory + (plane_of(item) * 64 + column_of(item)) * 4, share);
  barrier(CLK_LOCAL_MEM_FENCE);
  if (item < 64 && column0 + item < WEIGHT_PIXEL) {
    __local const float* shares = shared_floats(memory);
    float sum = 0.0f;
    for (int i = 0; i < 2 * group; ++i) sum += shares[i * 64 + item];
    partial[depth * WEIGHT_PIXEL + column0 + item] = sum;
  }
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
    if (begin + tile * TILE < end) {
      load_run(memory + tile * stage_bytes, x, begin + tile * TILE, units, block * BLOCK);
      load_item(memory + raw_at + tile * raw_bytes, dy, begin + tile * TILE, units, column0);
    }
    copies_commit();
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // the law and what is inside are there
  copies_wait(1);
  prepare_run(memory, memory, run_of(begin, units));
  prepare_item(memory + raw_at, memory + turned_at, bias);
  fence_async_proxy();

  int stage = 0, parity = 0;
  for (int unit0 = begin; unit0 < end; unit0 += TILE) {
    // Past the last unit as the last group: there dy is zero.
    const int first = corner_of(unit0, 0), last = units - group;
    __local const float* run = shared_floats(memory + stage * stage_bytes) + kernel_row * SOURCE_LINE * line +
                               warp * 16 + lane / 4 * 2;
    __local const float* near = run + (corner_of(min(unit0 + lane % 4 * group, last), 0) - first) * line;
    __local const float* far = run + (corner_of(min(unit0 + (lane % 4 + 4) * group, last), 0) - first) * line;
    const uint turned = memory + turned_at + parity * turned_bytes;
    const int after = stage == 2 ? 0 : stage + 1, next = unit0 + TILE;
    barrier(CLK_LOCAL_MEM_FENCE);  // the tile is there for all, and nobody reads the one before any more

    // Between products, what keeps the next ones from waiting.
    const Window window0 = read_window(near, far, 0);
    multiply(sum, &window0, turned, 0);
    const Window window1 = read_window(near, far, 2);
    multiply(sum, &window1, turned, 2);
    if (next + TILE < end) {
      load_run(memory + (stage == 0 ? 2 : stage - 1) * stage_bytes, x, next + TILE, units, block * BLOCK);
      load_item(memory + raw_at + parity * raw_bytes, dy, next + TILE, units, column0);
    }
    copies_commit();
    warp_meet();
    wgmma_wait_all_but_one();
    const Window window2 = read_window(near, far, 4);
    multiply(sum, &window2, turned, 4);
    copies_wait(1);
    if (next < end)
      prepare_item(memory + raw_at + (1 - parity) * raw_bytes, memory + turned_at + (1 - parity) * turned_bytes, bias);
    warp_meet();
    wgmma_wait_all_but_one();
    const Window window3 = read_window(near, far, 6);
    multiply(sum, &window3, turned, 6);
    if (next < end) prepare_run(memory, memory + after * stage_bytes, run_of(next, units));
    fence_async_proxy();
    warp_meet();
    wgmma_wait_all();
    stage = after, parity = 1 - parity;
  }
#pragma unroll
  for (int tap = 0; tap < KERNEL; ++tap) settle(sum[tap]);

  partial = part_of(partial);
  barrier(CLK_LOCAL_MEM_FENCE);
  if (block == 0) store_bias(memory, partial, bias, column0);
  store_sums(partial, sum, block * BLOCK + warp * 16 + lane / 4 * 2, 1, column0);
}
