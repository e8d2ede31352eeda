// Weight gradient of a 2-D convolution on NVIDIA's tensor cores by warp: TF32, bfloat16 or float16 operands, float32
// sums.
//
// A work-group keeps the sums of all taps x BLOCK channels of x x 32 or 64 channels of dy in registers and goes through
// its share of the pixels, TILE at a time: the run of pixels of x that their windows look at (as in conv2d_mma.cl), and
// their dy, both copied a tile ahead. With POOL 2 dy is made from that of a max-pool's output and the places of the
// maxima, window by window of the pool. Each row of warps has one row of the kernel. With NORMALISED x is normalised
// and rectified on its way, as in conv2d_mma.cl.
#ifndef SOURCE_LINE
#error "built by ops/conv2d_mma.cpp with the geometry of one layer"
#endif
#include "mma.clh"
#include "conv2d_mma_norm.clh"
#include "conv2d_mma_window.clh"
#include "conv2d_mma_gradient.clh"

enum {
  threads = 32 * KERNEL * WARPS_N,
  tap_tiles = BLOCK / 16,
  row_tiles = KERNEL * tap_tiles,   // of a warp
  line = BLOCK + 8,                 // floats of a pixel of x: four pixels of eight channels in different banks
  source_blocks = SOURCE_CHANNELS / BLOCK,
  run_bytes = RUN * line * 4,
  inside_at = run_bytes + gradient_bytes + corners_bytes + waiting_bytes,  // for NORMALISED: a word for each pixel of x
  stage_bytes = inside_at + (NORMALISED ? (RUN + 3) / 4 * 16 : 0),
  law_at = 2 * stage_bytes,  // mean, scale and beta of the block's channels
};

INLINE void load_run(uint target, __global const float* x, int first, int run, int channel) {
#pragma unroll 4
  for (int i = get_local_id(0); i < run * (BLOCK / 4); i += threads) {
    const int pixel = i / (BLOCK / 4), chunk = i % (BLOCK / 4);
    copy_vector(target + (pixel * line + chunk * 4) * 4,
                x + (size_t)(first + pixel) * SOURCE_CHANNELS + channel + chunk * 4, 16);
  }
}

#if NORMALISED
// Which pixels of a run lie within the borders of x, for all work-items behind the next barrier.
INLINE void store_inside(uint stage, int first, int run) {
  __local int* inside = (__local int*)shared_floats(stage + inside_at);
  for (int i = get_local_id(0); i < run; i += threads) inside[i] = is_inside(first + i);
}
#endif

INLINE void prepare_run(uint memory, uint stage, int run) {
#if NORMALISED
  // All vectors of a work-item are of the same channels of their pixels.
  enum { pixels_apart = threads / (BLOCK / 4) };
  const int chunk = get_local_id(0) % (BLOCK / 4), first = get_local_id(0) / (BLOCK / 4);
  Law law;
  read_four(memory + law_at + chunk * 16, law.mean);
  read_four(memory + law_at + (BLOCK + chunk * 4) * 4, law.scale);
  read_four(memory + law_at + (2 * BLOCK + chunk * 4) * 4, law.beta);
  uint vector = stage + (first * line + chunk * 4) * 4, inside = stage + inside_at + first * 4;
  for (int i = first; i < run; i += pixels_apart) {
    if (read_word(inside)) normalise_vector(vector, law);
    vector += pixels_apart * line * 4, inside += pixels_apart * 4;
  }
#elif FORMAT == TF32
  for (int i = get_local_id(0); i < run * (BLOCK / 4); i += threads) {
    float values[4];
    prepare_vector(stage + (i / (BLOCK / 4) * line + i % (BLOCK / 4) * 4) * 4, values);
  }
#endif
}

// A tile of units from `unit0` on: x, dy, and where in the run each pixel's window begins.
INLINE void load_tile(uint stage, __global const float* x, __global const float* dy,
                      __global const uchar* places, int unit0, int units, int channel, int column0) {
  load_run(stage, x, corner_of(unit0, 0), run_of(unit0, units), channel);
#if NORMALISED
  store_inside(stage, corner_of(unit0, 0), run_of(unit0, units));
#endif
  load_gradient(stage + run_bytes, dy, places, dy, unit0, units, column0, threads);
  store_corners(stage + run_bytes, unit0, units, line, threads);
}

// partial[pass][chunk][depth + 1][WEIGHT_PIXEL]: the gradients of the weight and, in the last row, of the bias, over
// one chunk of the pixels of a pass of `batch` images. Work-groups: (block of channels of x x tile of channels of dy,
// chunk, pass). `z` is for the kernel of few channels alone, conv2d_mma_narrow_weight.cl.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void weight_gradient(
    __global const float* restrict x, __global const float* restrict dy,
    __global const uchar* restrict places, __global float* restrict partial, int batch,
    int tiles_per_chunk, __global const float* restrict norm, int norm_row,
    __global const float* restrict z) {
  const uint memory = allocate_shared();
  const size_t first_image = get_group_id(2) * (size_t)batch;
  x += first_image * SOURCE_IMAGE * SOURCE_CHANNELS;
  dy += first_image * DY_IMAGE;
  places += first_image * places_per_image;
  const int block = (int)get_group_id(0) % source_blocks;
  const int column0 = (int)get_group_id(0) / source_blocks * tile_columns;
  const Share share = share_of(batch, tiles_per_chunk);
  const int units = share.units, begin = share.begin, end = share.end;
  const int lane = get_local_id(0) % 32;
  const int kernel_row = get_local_id(0) / 32 / WARPS_N;
  const int warp_column = get_local_id(0) / 32 % WARPS_N * 32;

  float sum[row_tiles][4][4];
#pragma unroll
  for (int i = 0; i < row_tiles * 16; ++i) sum[i / 16][i / 4 % 4][i % 4] = 0.0f;
  float bias[4] = {0.0f, 0.0f, 0.0f, 0.0f};

  load_tile(memory, x, dy, places, begin, units, block * BLOCK, column0);
  copies_commit();
#if NORMALISED
  store_input_law(memory + law_at, norm, norm_row, block * BLOCK, threads);
  barrier(CLK_LOCAL_MEM_FENCE);
#endif
  int stage = 0;
  for (int unit0 = begin; unit0 < end; unit0 += tile_units) {
    if (unit0 + tile_units < end) {
      load_tile(memory + (1 - stage) * stage_bytes, x, dy, places, unit0 + tile_units, units,
                block * BLOCK, column0);
    }
    copies_commit();
    copies_wait(1);
    const uint at = memory + stage * stage_bytes;
    prepare_run(memory, at, run_of(unit0, units));
    prepare_gradient(at + run_bytes, bias, threads);
    barrier(CLK_LOCAL_MEM_FENCE);
    __local const int* corners = corners_behind(at + run_bytes);
    __local const float* run =
        shared_floats(at) + kernel_row * SOURCE_LINE * line + lane / 4 * 2;
    __local const float* gradient = shared_floats(at + run_bytes) + warp_column + lane / 4;
#pragma unroll 2
    for (int k = lane % 4; k < TILE; k += 8) {
      Words right[4];
#pragma unroll
      for (int j = 0; j < 4; ++j)
        right[j] = words_of(gradient[k * dy_line + j * 8], gradient[(k + 4) * dy_line + j * 8]);
      __local const float* near = run + corners[k];
      __local const float* far = run + corners[k + 4];
#pragma unroll
      for (int i = 0; i < row_tiles; ++i) {
        // Rows lane / 4 and + 8 are neighbours among the channels, to be read together.
        const int offset = i / tap_tiles * line + i % tap_tiles * 16;
        float here[2], there[2];
        read_two(near + offset, here);
        read_two(far + offset, there);
        const Words upper = words_of(here[0], there[0]), lower = words_of(here[1], there[1]);
#pragma unroll
        for (int j = 0; j < 4; ++j) mma(sum[i][j], upper, lower, right[j]);
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    stage = 1 - stage;
  }

  partial = part_of(partial);
  if (block == 0) store_column_sums(memory, partial, bias, column0, threads);
#pragma unroll
  for (int i = 0; i < row_tiles; ++i) {
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const int channel = block * BLOCK + i % tap_tiles * 16 + lane / 4 * 2 + part;
      const int tap = kernel_row * KERNEL + i / tap_tiles;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int column = column0 + warp_column + j * 8 + lane % 4 * 2;
        if (channel < WEIGHT_CHANNELS && column < WEIGHT_PIXEL) {
          store_pair(partial + (tap * WEIGHT_CHANNELS + channel) * WEIGHT_PIXEL + column,
                     sum[i][j][2 * part], sum[i][j][2 * part + 1]);
        }
      }
    }
  }
}
