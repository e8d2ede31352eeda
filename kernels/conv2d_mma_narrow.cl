// The first layer's convolution, of an image with few channels, on NVIDIA's tensor cores by warp: forward with bias,
// ReLU and max-pool. All weights are one slice or a few of (tap, channel); the run of floats that a tile's windows look
// at (conv2d_mma.cl) goes to shared memory as it is, and each operand's word is read from where its tap is.
#ifndef SOURCE_LINE
#error "built by ops/conv2d_mma.cpp with the geometry of one layer"
#endif
#include "images.clh"
#include "mma.clh"
#include "conv2d_mma_tile.clh"
#include "conv2d_mma_statistics.clh"

enum {
  depth = KERNEL * KERNEL * WEIGHT_CHANNELS,
  slices = (depth + 7) / 8,
  line = tile_columns + 8,
};
#include "conv2d_mma_narrow.clh"

// A work-group's results.
typedef struct {
  int first_unit, last_unit, column0;
  int first, run;  // pixels of the source, with its borders, that its windows look at
} Tile;
INLINE Tile tile_of(int group, int batch) {
  Tile tile;
  tile.column0 = group % column_tiles * tile_columns;
  tile.first_unit = group / column_tiles * tile_units;
  tile.last_unit = batch * units_per_image - 1;
  tile.first = corner_of(tile.first_unit, 0, 0);
  tile.run = corner_of(min(tile.first_unit + tile_units - 1, tile.last_unit), 1, 1) + reach - tile.first;
  return tile;
}

// The run from images, with zeros in the borders. Each pixel of x that a window looks at is written by one work-group.
INLINE void make_pixels(uint target, const Images images, __global float* x, const Tile tile) {
  const int plane = INPUT_HEIGHT * INPUT_WIDTH;
  const int end = tile.column0 == 0 ? corner_of(tile.first_unit + tile_units, 0, 0) : 0;
  const int augmented = augments(images);
  int drawn_image = -1;
  Draw drawn;
#pragma unroll 4
  for (int i = get_local_id(0); i < tile.run * WEIGHT_CHANNELS; i += threads) {
    const int at = tile.first + i / WEIGHT_CHANNELS, channel = i % WEIGHT_CHANNELS;
    const int image = at / SOURCE_IMAGE;
    const int row = at % SOURCE_IMAGE / SOURCE_LINE - INPUT_HALO, column = at % SOURCE_LINE - INPUT_HALO;
    float value = 0.0f;
    if (row >= 0 && row < INPUT_HEIGHT && column >= 0 && column < INPUT_WIDTH) {
      __global const uchar* pixels = pixels_of(images, image, WEIGHT_CHANNELS * plane) + channel * plane;
      if (augmented) {
        if (image != drawn_image) drawn = draw_of(images, image, INPUT_HEIGHT, INPUT_WIDTH);
        drawn_image = image;
        value = augmented_value(images, pixels, channel, drawn, row, column, INPUT_HEIGHT, INPUT_WIDTH);
      } else {
        value = fma((float)pixels[row * INPUT_WIDTH + column], images.scale[channel], images.shift[channel]);
      }
      if (at < end) x[(size_t)at * WEIGHT_CHANNELS + channel] = value;
    }
    shared_floats(target)[i] = value;
  }
}

// All but the pixels, which are on their way or there.
INLINE void finish_tile(uint memory, __global const float* weight, __global const float* bias, __global uchar* places,
                        __global float* target, const Tile tile, int finish, __global float* tile_first,
                        __global float* tile_second) {
  for (int i = get_local_id(0); i < slices * 8 * (tile_columns / 4); i += threads) {
    const int column = i % (tile_columns / 4) * 4, k = i / (tile_columns / 4);
    const int inside = k < depth && tile.column0 + column < WEIGHT_PIXEL;
    copy_vector(memory + run_bytes + (k * line + column) * 4,
                inside ? weight + k * WEIGHT_PIXEL + tile.column0 + column : weight, inside ? 16 : 0);
  }
  copies_commit();

  const int lane = get_local_id(0) % 32;
  int corner[4][2];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const int unit = min(tile.first_unit + unit_of(i, part, lane / 4), tile.last_unit);
      corner[i][part] = (corner_of(unit, i, part) - tile.first) * WEIGHT_CHANNELS;
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
  float parts[COLUMN_TILES][4];
  store_tile(sum, target, bias, places, tile.first_unit, tile.column0, tile.last_unit + 1, finish, 0, 0, parts);
#if STATISTICS
  keep_parts(memory, sum, parts, tile_first, tile_second, tile.first_unit / tile_units, tile.column0,
             tile.last_unit + 1 - tile.first_unit);
#endif
}

// As `product` in conv2d_mma.cl, but that the weight comes as [depth][WEIGHT_PIXEL] where the launcher packs none.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void forward(
    __global const float* restrict source, __global const float* restrict weight,
    __global const float* restrict bias, __global uchar* restrict places,
    __global float* restrict target, int batch, int finish, __global const float* restrict norm, int norm_row,
    __global float* restrict tile_first, __global float* restrict tile_second) {
  const uint memory = allocate_shared();
  const Tile tile = tile_of(get_group_id(0), batch);
  load_pixels(memory, source, tile.first, tile.run, threads);
  finish_tile(memory, weight, bias, places, target, tile, finish, tile_first, tile_second);
}

// The same with the source made from images, as make_pixels has them.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void forward_images(
    IMAGE_PARAMETERS, __global float* restrict x, __global const float* restrict weight,
    __global const float* restrict bias, __global uchar* restrict places, __global float* restrict target, int batch,
    int finish, __global float* restrict tile_first, __global float* restrict tile_second) {
  const uint memory = allocate_shared();
  const Tile tile = tile_of(get_group_id(0), batch);
  const Images images = IMAGE_VALUES;
  make_pixels(memory, images, x, tile);
  finish_tile(memory, weight, bias, places, target, tile, finish, tile_first, tile_second);
}
