// The first layer of a chain of dense layers (dense_chain.cl) by itself, for inputs that are too wide for a work-group
// or whose gradient somebody waits for: its products, which dense_chain.cl adds up, and its input's gradient, on
// NVIDIA's tensor cores by warp.
//
// A work-group makes a tile of 64 x 64, 16 products at a time from a ring in shared memory; a warp keeps 32 x 32
// results in registers and rounds the operands as it reads them. As in dense_chain.cl, lane (row r, quarter q) takes
// the products 4 q ... 4 q + 3 of a slice and columns 4 r ... 4 r + 3, one for each of four tiles of eight.
#ifndef FORMAT
#error "built by ops/dense_chain.cpp"
#endif
#include "mma.clh"
#include "dense_chain.clh"
#include "dense_chain_images.clh"
#include "images.clh"
#include "dense_chain_tile.clh"

enum {
  left_line = slice,         // floats: two rows of four quarters meet all banks
  right_line = slice + 4,    // the same for rows 4 r
  turned_line = tile + 4,    // [product][column]
  left_bytes = tile * left_line * 4,
  right_bytes = tile * right_line * 4,  // no less than slice * turned_line * 4
  stage_bytes = left_bytes + right_bytes,
};

// target[row][product] of `rows` rows of `width` floats, from (row0, product0) on; zeros past the last row and from
// product `end`, a multiple of 4, on.
INLINE void load_rows(uint target, int line, __global const float* source, int width, int row0, int rows, int product0,
                      int end) {
#pragma unroll
  for (int i = 0; i < tile * slice / 4 / threads; ++i) {
    const int item = i * threads + get_local_id(0);
    const int row = item / (slice / 4), at = item % (slice / 4) * 4;
    copy_vector(target + (row * line + at) * 4, source + (size_t)(row0 + row) * width + product0 + at,
                row0 + row < rows && product0 + at < end ? 16 : 0);
  }
}

// sum[row tile][column tile] += a slice of the left operand times one of the right: `turned` as load_columns lays it.
INLINE void multiply(uint stage, int turned, float sum[2][4][4]) {
  const int warp = get_local_id(0) / 32;
  const int row0 = warp % 2 * 32 + warp_row(), column0 = warp / 2 * 32 + 4 * warp_row();
  float left[4][4], right[4][4];  // [rows r, r + 8, r + 16, r + 24][product]; [product][column] or turned
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    read_four(stage + ((row0 + 8 * i) * left_line + 4 * quarter()) * 4, left[i]);
    read_four(stage + left_bytes +
                  (turned ? (4 * quarter() + i) * turned_line + column0
                          : (column0 + i) * right_line + 4 * quarter()) * 4,
              right[i]);
  }
#pragma unroll
  for (int k = 0; k < 4; k += 2) {
    Words rows[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) rows[i] = words_of(prepare(left[i][k]), prepare(left[i][k + 1]));
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float first = turned ? right[k][j] : right[j][k], second = turned ? right[k + 1][j] : right[j][k + 1];
      const Words columns = words_of(prepare(first), prepare(second));
#pragma unroll
      for (int i = 0; i < 2; ++i) mma(sum[i][j], rows[2 * i], rows[2 * i + 1], columns);
    }
  }
}

// Eight neighbours of a row: row `warp_row() + 8 i` of the warp's 32, columns 8 quarter() on.
INLINE void take(const float sum[2][4][4], int i, float values[2][4]) {
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    values[0][j] = sum[i / 2][j][i % 2 * 2];
    values[1][j] = sum[i / 2][j][i % 2 * 2 + 1];
  }
}

// sum = rows of `left` [batch][depth] from row0 on times `right` from column0 on, products [first, last): `right` is
// [depth][columns] where `turned`, else [columns][depth].
INLINE void product(__global const float* left, int batch, int row0, __global const float* right, int columns,
                    int column0, int depth, int first, int last, int turned, float sum[2][4][4]) {
  const uint ring = allocate_shared();
  const int slices = (last - first + slice - 1) / slice;
#pragma unroll
  for (int i = 0; i < 32; ++i) sum[i / 16][i / 4 % 4][i % 4] = 0.0f;
  for (int i = 0; i < slices + stages - 1; ++i) {
    if (i >= stages - 1) {
      // Behind this barrier the slice is there for all, and the one before it no longer read.
      copies_wait(stages - 2);
      barrier(CLK_LOCAL_MEM_FENCE);
    }
    const uint target = ring + i % stages * stage_bytes;
    const int at = first + i * slice;
    load_rows(target, left_line, left, depth, row0, batch, at, last);
    if (turned) {
      load_columns(target + left_bytes, turned_line, right, columns, column0, at, last);
    } else {
      load_rows(target + left_bytes, right_line, right, depth, column0, columns, at, last);
    }
    copies_commit();
    if (i >= stages - 1) multiply(ring + (i - stages + 1) % stages * stage_bytes, turned, sum);
  }
}

// This work-item's values of a slice as load_rows lays it, from product `at` on of two rows' images; zeros past the
// last row and from product `end` on.
INLINE void read_rows(const Images images, const Image image[2], int row0, int rows, int at, int end,
                      float values[2][4]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) values[i][j] = 0.0f;
    const int row = row0 + get_local_id(0) / 4 + 32 * i, product = at + get_local_id(0) % 4 * 4;
    if (row < rows && product < end) read_values(images, image[i], product, values[i]);
  }
}

// The same to shared memory, and to x [rows][depth] where `writes`.
INLINE void store_rows(uint target, const float values[2][4], int row0, int rows, int at, int end, __global float* x,
                       int depth, int writes) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int place = get_local_id(0) / 4 + 32 * i, product = at + get_local_id(0) % 4 * 4;
    store_vector(target + (place * left_line + get_local_id(0) % 4 * 4) * 4, values[i]);
    if (writes && row0 + place < rows && product < end)
      store_global(x + (size_t)(row0 + place) * depth + product, values[i]);
  }
}

// As product, with `left` made from images: a slice's pixels are on their way while the one before is stored and
// another multiplied.
INLINE void image_product(const Images images, __global float* x, int writes, int batch, int row0,
                          __global const float* right, int columns, int column0, int depth, int first, int last,
                          float sum[2][4][4]) {
  const uint ring = allocate_shared();
  const int slices = (last - first + slice - 1) / slice;
#pragma unroll
  for (int i = 0; i < 32; ++i) sum[i / 16][i / 4 % 4][i % 4] = 0.0f;
  Image image[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) image[i] = image_of(images, min(row0 + (int)get_local_id(0) / 4 + 32 * i, batch - 1));
  float values[2][4];
  read_rows(images, image, row0, batch, first, last, values);
  for (int i = 0; i < slices + stages - 1; ++i) {
    if (i >= stages - 1) {
      copies_wait(stages - 2);
      barrier(CLK_LOCAL_MEM_FENCE);
    }
    const uint target = ring + i % stages * stage_bytes;
    const int at = first + i * slice;
    store_rows(target, values, row0, batch, at, last, x, depth, writes);
    load_columns(target + left_bytes, turned_line, right, columns, column0, at, last);
    copies_commit();
    read_rows(images, image, row0, batch, at + slice, last, values);
    if (i >= stages - 1) multiply(ring + (i - stages + 1) % stages * stage_bytes, 1, sum);
  }
}

// A tile of the first layer's products to parts [batch][columns].
INLINE void store_parts(const float sum[2][4][4], __global float* parts, int batch, int columns, int row0,
                        int column0) {
  const int warp = get_local_id(0) / 32;
  const int column = column0 + warp / 2 * 32 + 8 * quarter();
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = row0 + warp % 2 * 32 + 8 * i + warp_row();
    if (row >= batch || column >= columns) continue;
    float values[2][4];
    take(sum, i, values);
    store_global(parts + (size_t)row * columns + column, values[0]);
    store_global(parts + (size_t)row * columns + column + 4, values[1]);
  }
}

// Work-groups: (a tile of [batch][out of the first layer], a part of the depth of `depth` products).
// parts [number of parts][batch][out] = x times the weight, within the part.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void first_layer(
    __global const float* restrict x, __global const float* restrict parameters, __constant const int* table,
    __global float* restrict parts, int batch, int depth) {
  const Layer layer = *(__constant const Layer*)table;
  const int tiles = tiles_of(layer.out);
  const int row0 = (int)get_group_id(0) / tiles * tile, column0 = (int)get_group_id(0) % tiles * tile;
  const int first = (int)get_group_id(1) * depth;
  float sum[2][4][4];
  product(x, batch, row0, parameters + layer.weight, layer.out, column0, layer.in, first,
          min(first + depth, layer.in), 1, sum);
  store_parts(sum, parts + get_group_id(1) * (size_t)batch * layer.out, batch, layer.out, row0, column0);
}

// The same with x made from images, and written for the gradients of the weights.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void first_layer_images(
    IMAGE_PARAMETERS, __global float* restrict x, __global const float* restrict parameters,
    __constant const int* table, __global float* restrict parts, int batch, int depth) {
  const Images images = IMAGE_VALUES;
  const Layer layer = *(__constant const Layer*)table;
  const int tiles = tiles_of(layer.out);
  const int row0 = (int)get_group_id(0) / tiles * tile, column0 = (int)get_group_id(0) % tiles * tile;
  const int first = (int)get_group_id(1) * depth;
  float sum[2][4][4];
  image_product(images, x, column0 == 0, batch, row0, parameters + layer.weight, layer.out, column0, layer.in, first,
                min(first + depth, layer.in), sum);
  store_parts(sum, parts + get_group_id(1) * (size_t)batch * layer.out, batch, layer.out, row0, column0);
}

// dx [batch][in of the first layer] = the gradient of that layer's output (in `maps`) times its transposed weight; with
// `mask` 0 where x is not above 0. Work-groups: a tile of dx.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void input_gradient(
    __global const float* restrict maps, __global const float* restrict parameters, __constant const int* table,
    __global const float* restrict x, __global float* restrict dx, int batch, int mask) {
  const Layer layer = *(__constant const Layer*)table;
  const int tiles = tiles_of(layer.in);
  const int row0 = (int)get_group_id(0) / tiles * tile, column0 = (int)get_group_id(0) % tiles * tile;
  float sum[2][4][4];
  product(maps + layer.gradient, batch, row0, parameters + layer.weight, layer.in, column0, layer.out, 0, layer.out, 0,
          sum);
  const int warp = get_local_id(0) / 32;
  const int column = column0 + warp / 2 * 32 + 8 * quarter();
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = row0 + warp % 2 * 32 + 8 * i + warp_row();
    if (row >= batch || column >= layer.in) continue;
    float values[2][4];
    take(sum, i, values);
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const size_t at = (size_t)row * layer.in + column + 4 * part;
      if (mask) {
        float outputs[4];
        read_global(x + at, outputs);
#pragma unroll
        for (int j = 0; j < 4; ++j) values[part][j] = outputs[j] <= 0.0f ? 0.0f : values[part][j];
      }
      store_global(dx + at, values[part]);
    }
  }
}
