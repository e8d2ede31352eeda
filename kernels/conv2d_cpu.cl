// 2-D convolution on CPUs: float16 tiles held in registers, one work-item a work-group, no
// barriers.
//
// Built with the geometry of the feature maps, as conv2d_cpu_tile.clh has it. The stride-1 input
// gradient is the forward convolution of dy with the turned weights, so it is `input_gradient` of
// this file built with the geometry of dy as X and that of dx as Y.
#include "conv2d_cpu_chunks.clh"
#include "conv2d_cpu_patch.clh"
#include "conv2d_cpu_tile.clh"

// panels as those of `pack`, for the input gradient, from weight[tap][Y_CHANNELS][X_PIXEL]: turned by
// 180 degrees and transposed.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pack_turned(
    __global const float* restrict weight, __global float* restrict panels) {
  const int tile = get_global_id(0);
  const int tap = get_global_id(1);
  __global const float* source = weight + (KERNEL * KERNEL - 1 - tap) * Y_CHANNELS * X_PIXEL;
  __global float* panel = panels + (tile * depth + tap * X_CHANNELS) * tile_channels;
  for (int column = 0; column < tile_channels; ++column) {
    const int channel = tile * tile_channels + column;
    for (int row = 0; row < X_CHANNELS; ++row) {
      panel[row * tile_channels + column] =
          channel < Y_CHANNELS ? source[channel * X_PIXEL + row] : 0.0f;
    }
  }
}

// One tile of output pixels: bias (where there is one), the windows, then ReLU or the mask, and the
// stores.
INLINE void correlate_tile(__global const float* x, __global const float* panel,
                           __global const float* bias, __global const float* gate,
                           __global float* y, int relu) {
  float16 sum[pixels][VECTORS];
#pragma unroll
  for (int p = 0; p < pixels; ++p) {
#pragma unroll
    for (int v = 0; v < VECTORS; ++v) sum[p][v] = bias ? vload16(v, bias) : (float16)(0.0f);
  }
  accumulate(x, panel, sum);
#pragma unroll
  for (int p = 0; p < pixels; ++p) {
    const int offset = p / TILE_COLUMNS * Y_ROW + p % TILE_COLUMNS * Y_PIXEL;
#pragma unroll
    for (int v = 0; v < VECTORS; ++v) {
      float16 value = sum[p][v];
      // Comparisons that are false for NaN: it passes on and is found by the loss.
      if (relu) value = select(value, (float16)(0.0f), value < 0.0f);
      if (gate) value = select(value, (float16)(0.0f), vload16(v, gate + offset) <= 0.0f);
      vstore16(value, v, y + offset);
    }
  }
}

// All tiles of one image for one tile of channels.
INLINE void correlate_image(__global const float* x, __global const float* panels,
                            __global const float* bias, __global const float* gate,
                            __global float* y, int image, int tile, int relu) {
  __global const float* windows = x + (size_t)image * X_IMAGE + X_ORIGIN;
  const size_t interior = (size_t)image * Y_IMAGE + Y_INTERIOR + tile * tile_channels;
  for (int i = 0; i * TILE_ROWS < Y_HEIGHT; ++i) {
    const int row = tile_start(i, TILE_ROWS, Y_HEIGHT);
    for (int j = 0; j * TILE_COLUMNS < Y_WIDTH; ++j) {
      const int column = tile_start(j, TILE_COLUMNS, Y_WIDTH);
      const size_t target = interior + row * Y_ROW + column * Y_PIXEL;
      correlate_tile(windows + (row * X_ROW + column * X_PIXEL) * STRIDE,
                     panels + tile * depth * tile_channels, bias ? bias + tile * tile_channels : 0,
                     gate ? gate + target : 0, y + target, relu);
    }
  }
}

// The same of IMAGES images.
INLINE void correlate(__global const float* x, __global const float* panels,
                      __global const float* bias, __global const float* gate, __global float* y,
                      int batch, int relu) {
  const int first = get_global_id(0) * IMAGES;
  const int last = min(batch, first + IMAGES);
  for (int image = first; image < last; ++image)
    correlate_image(x, panels, bias, gate, y, image, get_global_id(1), relu);
}

// y = x * weight + bias, then max(0, .) when `relu`. Work-items: (group of IMAGES images, tile of
// channels).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void forward(
    __global const float* restrict x, __global const float* restrict panels,
    __global const float* restrict bias, __global float* restrict y, int batch, int relu) {
  correlate(x, panels, bias, 0, y, batch, relu);
}

#if X_PIXEL % 16  // of few channels
#include "conv2d_cpu_images.clh"
#include "images.clh"

// As forward, with x made from images. Work-items: groups of IMAGES images.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void forward_images(
    IMAGE_PARAMETERS, __global float* restrict x, __global const float* restrict panels,
    __global const float* restrict bias, __global float* restrict y, int batch, int relu) {
  const Images images = IMAGE_VALUES;
  const int first = get_global_id(0) * IMAGES;
  const int last = min(batch, first + IMAGES);
  for (int image = first; image < last; ++image) {
    make_image(images, image, x);
    for (int tile = 0; tile * tile_channels < Y_PIXEL; ++tile)
      correlate_image(x, panels, bias, 0, y, image, tile, relu);
  }
}
#endif

// dx (as y) from dy (as x); 0 where gate, the forward pass's input, is <= 0 when `mask`. Work-items
// as in forward.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void input_gradient(
    __global const float* restrict x, __global const float* restrict panels,
    __global const float* restrict gate, __global float* restrict y, int batch, int mask) {
  if (mask) {
    correlate(x, panels, 0, gate, y, batch, 0);
  } else {
    correlate(x, panels, 0, 0, y, batch, 0);
  }
}

// dx of any stride and channel layout, gathered from dy with the weights as they are. Work-items:
// (row, image).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gather_input_gradient(
    __global const float* restrict dy, __global const float* restrict weight,
    __global const float* restrict gate, __global float* restrict dx, int batch, int mask) {
  const int row = get_global_id(0);
  const size_t image = get_global_id(1);
  for (int item = 0; item < X_WIDTH * X_PIXEL; ++item) {
    const int column = item / X_PIXEL;
    const int channel = item % X_PIXEL;
    float16 sum = 0.0f;
    for (int tap = 0; tap < KERNEL * KERNEL && channel < X_CHANNELS; ++tap) {
      // The output pixel that saw this input pixel through this tap, if there is one.
      const int i = row + PADDING - tap / KERNEL;
      const int j = column + PADDING - tap % KERNEL;
      if (i < 0 || j < 0 || i % STRIDE || j % STRIDE) continue;
      if (i / STRIDE >= Y_HEIGHT || j / STRIDE >= Y_WIDTH) continue;
      __global const float* d =
          dy + image * Y_IMAGE + Y_INTERIOR + i / STRIDE * Y_ROW + j / STRIDE * Y_PIXEL;
      __global const float* w = weight + (tap * X_CHANNELS + channel) * Y_PIXEL;
      for (int v = 0; v < Y_PIXEL / lanes; ++v) sum += vload16(v, d) * vload16(v, w);
    }
    const float8 half_sum = sum.lo + sum.hi;
    const float4 quarter_sum = half_sum.lo + half_sum.hi;
    const size_t target = image * X_IMAGE + X_INTERIOR + row * X_ROW + item;
    const float value = quarter_sum.x + quarter_sum.y + quarter_sum.z + quarter_sum.w;
    dx[target] = mask && gate[target] <= 0.0f ? 0.0f : value;
  }
}

// partial[patch_rows][vector] += windows (x) dy over `rows` rows of output pixels; not stored for
// the first `skip` weight rows.
INLINE void outer_products(__global const float* x, __global const float* dy,
                           __global float* partial, int rows, int skip, int fresh) {
  float16 sum[patch_rows][VECTORS];
  load_patch(sum, partial, fresh);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < Y_WIDTH; ++column) {
      float16 d[VECTORS];
#pragma unroll
      for (int v = 0; v < VECTORS; ++v) d[v] = vload16(v, dy + row * Y_ROW + column * Y_PIXEL);
      add_to_patch(sum, x + (row * X_ROW + column * X_PIXEL) * STRIDE, d);
    }
  }
  store_patch(sum, partial, skip);
}

// partial[chunk][depth + 1][Y_PIXEL]: the gradients of the weight and, in the last row, of the
// bias, over one chunk of images. The bias's is summed from exact_dy, which dy may be a rounded
// copy of. Work-items: (1, tile of channels, chunk), over the chunks of all passes.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void weight_gradient(
    __global const float* restrict x, __global const float* restrict dy,
    __global const float* restrict exact_dy, __global float* restrict partial, int each,
    int images_per_chunk, int chunks) {
  const int channel = get_global_id(1) * tile_channels;
  const int2 images = images_of_chunk(get_global_id(2), each, images_per_chunk, chunks);
  partial += get_global_id(2) * (size_t)((depth + 1) * Y_PIXEL) + channel;
  for (int image = images.x; image < images.y; ++image) {
    for (int row = 0; row < Y_HEIGHT; row += GRADIENT_ROWS) {
      // So few rows that their part of dy stays in the first-level cache while all weight rows pass
      // by.
      const int rows = min(GRADIENT_ROWS, Y_HEIGHT - row);
      const int fresh = image == images.x && row == 0;
      const size_t pixels = (size_t)image * Y_IMAGE + Y_INTERIOR + row * Y_ROW + channel;
      __global const float* d = dy + pixels;
      __global const float* windows = x + (size_t)image * X_IMAGE + X_ORIGIN + row * STRIDE * X_ROW;
      add_pixels(exact_dy + pixels, partial + depth * Y_PIXEL, rows, fresh);
      for (int r = 0; r < runs; r += PATCH_RUNS) {
        for (int tile = 0; tile * PATCH < run; ++tile) {
          const int start = tile_start(tile, PATCH, run);
          outer_products(windows + run_offset(r) + start, d, partial + (r * run + start) * Y_PIXEL,
                         rows, tile * PATCH - start, fresh);
        }
      }
    }
  }
}

// dweight and dbias from what weight_gradient left. Work-items: taps, then the bias.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void sum_chunks(
    __global const float* restrict partial, __global float* restrict dweight,
    __global float* restrict dbias, int chunks, int passes) {
  sum_tap(partial, dweight, dbias, get_global_id(0), chunks, passes);
}
