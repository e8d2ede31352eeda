// Weight gradient of the first layer's convolution, of an image with few channels, on NVIDIA's tensor cores by warp.
//
// As conv2d_mma_weight.cl, but all weight rows (tap, channel) fit a few tiles: so every warp has all the sums, and
// takes every WARPS-th slice of eight pixels. With NORM_GRADIENT a batch norm stands behind the convolution, whose
// input gradient is nowhere in memory.
#ifndef SOURCE_LINE
#error "built by ops/conv2d_mma.cpp with the geometry of one layer"
#endif
#include "mma.clh"
#include "conv2d_mma_window.clh"
#include "conv2d_mma_gradient.clh"
#include "conv2d_mma_narrow.clh"

enum {
  warps = WARPS,
  threads = 32 * warps,
  row_tiles = (depth + 15) / 16,
  column_parts = tile_columns / 8,
  stage_bytes = run_bytes + gradient_bytes + corners_bytes + waiting_bytes,
  results = row_tiles * 16 * tile_columns,
  law_at = 2 * stage_bytes,  // for NORM_GRADIENT
};

INLINE void load_tile(uint stage, __global const float* x, __global const float* dy,
                      __global const uchar* places, __global const float* z, int unit0, int units,
                      int column0) {
  load_pixels(stage, x, corner_of(unit0, 0), run_of(unit0, units), threads);
  load_gradient(stage + run_bytes, dy, places, z, unit0, units, column0, threads);
  store_corners(stage + run_bytes, unit0, units, WEIGHT_CHANNELS, threads);
}

// As in conv2d_mma_weight.cl. Work-groups: (tile of channels of dy, chunk, pass).
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void weight_gradient(
    __global const float* restrict x, __global const float* restrict dy,
    __global const uchar* restrict places, __global float* restrict partial, int batch,
    int tiles_per_chunk, __global const float* restrict norm, int norm_row,
    __global const float* restrict z) {
  const uint memory = allocate_shared();
  const size_t first_image = get_group_id(2) * (size_t)batch;
  x += first_image * SOURCE_IMAGE * WEIGHT_CHANNELS;
  dy += first_image * DY_IMAGE;
  places += first_image * places_per_image;
  z += first_image * DY_IMAGE;
  const int column0 = (int)get_group_id(0) * tile_columns;
  const Share share = share_of(batch, tiles_per_chunk);
  const int units = share.units, begin = share.begin, end = share.end;
  const int lane = get_local_id(0) % 32;
  const int warp = get_local_id(0) / 32;

  int offset[row_tiles][2];
#pragma unroll
  for (int i = 0; i < row_tiles; ++i) {
    offset[i][0] = within_window(i * 16 + lane / 4);
    offset[i][1] = within_window(i * 16 + 8 + lane / 4);
  }
  float sum[row_tiles][column_parts][4];
#pragma unroll
  for (int i = 0; i < row_tiles * column_parts * 4; ++i)
    sum[i / (column_parts * 4)][i / 4 % column_parts][i % 4] = 0.0f;
  float bias[4] = {0.0f, 0.0f, 0.0f, 0.0f};

  load_tile(memory, x, dy, places, z, begin, units, column0);
  copies_commit();
#if NORM_GRADIENT
  store_law(memory + law_at, norm, norm_row, column0, threads);
  barrier(CLK_LOCAL_MEM_FENCE);
#endif
  int stage = 0;
  for (int unit0 = begin; unit0 < end; unit0 += tile_units) {
    if (unit0 + tile_units < end) {
      load_tile(memory + (1 - stage) * stage_bytes, x, dy, places, z, unit0 + tile_units, units,
                column0);
    }
    copies_commit();
    copies_wait(1);
    const uint at = memory + stage * stage_bytes;
#if NORM_GRADIENT
    prepare_norm_gradient(at + run_bytes, memory + law_at, bias, unit0, units, threads);
#else
    prepare_gradient(at + run_bytes, bias, threads);
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
    __local const int* corners = corners_behind(at + run_bytes);
    __local const float* run = shared_floats(at);
    __local const float* gradient = shared_floats(at + run_bytes) + lane / 4;
    for (int k = warp * 8 + lane % 4; k < TILE; k += warps * 8) {
      __local const float* near = run + corners[k];
      __local const float* far = run + corners[k + 4];
      Words upper[row_tiles], lower[row_tiles];
#pragma unroll
      for (int i = 0; i < row_tiles; ++i) {
        upper[i] = words_of(prepare(near[offset[i][0]]), prepare(far[offset[i][0]]));
        lower[i] = words_of(prepare(near[offset[i][1]]), prepare(far[offset[i][1]]));
      }
#pragma unroll
      for (int j = 0; j < column_parts; ++j) {
        const Words right =
            words_of(gradient[k * dy_line + j * 8], gradient[(k + 4) * dy_line + j * 8]);
#pragma unroll
        for (int i = 0; i < row_tiles; ++i) mma(sum[i][j], upper[i], lower[i], right);
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    stage = 1 - stage;
  }

  partial = part_of(partial);
  store_column_sums(memory, partial, bias, column0, threads);
  // The warps' sums, added up in their order.
  __local float* shares = shared_floats(memory);
#pragma unroll
  for (int i = 0; i < row_tiles; ++i) {
#pragma unroll
    for (int j = 0; j < column_parts; ++j) {
#pragma unroll
      for (int part = 0; part < 4; ++part) {
        const int row = i * 16 + part / 2 * 8 + lane / 4, column = j * 8 + lane % 4 * 2 + part % 2;
        shares[warp * results + row * tile_columns + column] = sum[i][j][part];
      }
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int i = get_local_id(0); i < depth * tile_columns; i += threads) {
    float total = shares[i];
    for (int w = 1; w < warps; ++w) total += shares[w * results + i];
    const int column = column0 + i % tile_columns;
    if (column < WEIGHT_PIXEL) partial[i / tile_columns * WEIGHT_PIXEL + column] = total;
  }
}
