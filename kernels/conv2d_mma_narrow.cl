// The first layer's convolution, of an image with few channels, on NVIDIA's tensor cores by warp: forward with bias,
// ReLU and max-pool. All weights are one slice or a few of (tap, channel); the run of floats that a tile's windows look at
// (conv2d_mma.cl) goes to shared memory as it is, and each operand's word is read from where its tap is.
#ifndef SOURCE_LINE
#error "built by ops/conv2d_mma.cpp with the geometry of one layer"
#endif
#include "mma.clh"
#include "conv2d_mma_tile.clh"

enum {
  depth = KERNEL * KERNEL * WEIGHT_CHANNELS,
  slices = (depth + 7) / 8,
  line = tile_columns + 8,
};
#include "conv2d_mma_narrow.clh"

// As `product` in conv2d_mma.cl.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void forward(
    __global const float* restrict source, __global const float* restrict weight,
    __global const float* restrict bias, __global uchar* restrict places,
    __global float* restrict target, int batch, int finish) {
  const uint memory = allocate_shared();
  const int column0 = (int)get_group_id(0) % column_tiles * tile_columns;
  const int first_unit = (int)get_group_id(0) / column_tiles * tile_units;
  const int last_unit = batch * units_per_image - 1;
  const int first = corner_of(first_unit, 0, 0);
  const int run = corner_of(min(first_unit + tile_units - 1, last_unit), 1, 1) + reach - first;
  load_pixels(memory, source, first, run, threads);
  for (int i = get_local_id(0); i < slices * 8 * (tile_columns / 4); i += threads) {
    const int column = i % (tile_columns / 4) * 4, k = i / (tile_columns / 4);
    const int inside = k < depth && column0 + column < WEIGHT_PIXEL;
    copy_vector(memory + run_bytes + (k * line + column) * 4,
                inside ? weight + k * WEIGHT_PIXEL + column0 + column : weight, inside ? 16 : 0);
  }
  copies_commit();

  const int lane = get_local_id(0) % 32;
  int corner[4][2];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const int unit = min(first_unit + unit_of(i, part, lane / 4), last_unit);
      corner[i][part] = (corner_of(unit, i, part) - first) * WEIGHT_CHANNELS;
    }
  }
  float sum[4][COLUMN_TILES][4];
#pragma unroll
  for (int i = 0; i < 16 * COLUMN_TILES; ++i)
    sum[i / (4 * COLUMN_TILES)][i / 4 % COLUMN_TILES][i % 4] = 0.0f;
  copies_wait(0);
  barrier(CLK_LOCAL_MEM_FENCE);

  __local const float* pixels = shared_floats(memory);
  __local const float* weights =
      shared_floats(memory + run_bytes) + get_local_id(0) / 32 % WARPS_N * warp_columns + lane / 4;
#pragma unroll
  for (int k = 0; k < slices; ++k) {
    const int near = within_window(k * 8 + lane % 4), far = within_window(k * 8 + lane % 4 + 4);
    Words right[COLUMN_TILES];
#pragma unroll
    for (int j = 0; j < COLUMN_TILES; ++j) {
      right[j] = words_of(prepare(weights[(k * 8 + lane % 4) * line + j * 8]),
                          prepare(weights[(k * 8 + lane % 4 + 4) * line + j * 8]));
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Words upper = words_of(prepare(pixels[corner[i][0] + near]), prepare(pixels[corner[i][0] + far]));
      const Words lower = words_of(prepare(pixels[corner[i][1] + near]), prepare(pixels[corner[i][1] + far]));
#pragma unroll
      for (int j = 0; j < COLUMN_TILES; ++j) mma(sum[i][j], upper, lower, right[j]);
    }
  }
  store_tile(sum, target, bias, places, first_unit, column0, last_unit + 1, finish);
}
