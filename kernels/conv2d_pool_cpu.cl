// Convolution, bias, ReLU and max-pool in one pass on CPUs: the convolution's own output never goes to
// memory. What does is the pooled map and, for the gradients, which pixel of the window was the
// first maximum.
#include "conv2d_cpu_tile.clh"
#include "conv2d_pool_cpu.clh"

enum {
  line_pixels = Y_WIDTH * POOL,  // of a row of the convolution's output; the rest is in no window
};

// A tile of output pixels, rectified when `relu`, to `line` [POOL][line_pixels][VECTORS].
INLINE void correlate_to_line(__global const float* x, __global const float* panel,
                              __global const float* bias, float16* line, int relu) {
  float16 sum[pixels][VECTORS];
#pragma unroll
  for (int p = 0; p < pixels; ++p) {
#pragma unroll
    for (int v = 0; v < VECTORS; ++v) sum[p][v] = vload16(v, bias);
  }
  accumulate(x, panel, sum);
#pragma unroll
  for (int p = 0; p < pixels; ++p) {
#pragma unroll
    for (int v = 0; v < VECTORS; ++v) {
      float16 value = sum[p][v];
      // A comparison that is false for NaN: it passes on and is found by the loss.
      if (relu) value = select(value, (float16)(0.0f), value < 0.0f);
      line[(p / TILE_COLUMNS * line_pixels + p % TILE_COLUMNS) * VECTORS + v] = value;
    }
  }
}

// The maximum of a window, and its first place. A NaN is kept.
INLINE float16 largest(const float16* window, uchar16* place) {
  float16 most = window[0];
  int16 at = 0;
#pragma unroll
  for (int k = 1; k < places; ++k) {
    const float16 value = window[(k / POOL * line_pixels + k % POOL) * VECTORS];
    const int16 larger = (value > most) | isnan(value);
    most = select(most, value, larger);
    at = select(at, (int16)(k), larger);
  }
  *place = convert_uchar16(at);
  return most;
}

// y = max over windows of (x * weight + bias), rectified when `relu`, of one image and one tile of channels; where the
// maxima were when `keep`.
INLINE void pool_image(__global const float* x, __global const float* panels, __global const float* bias,
                       __global float* y, __global uchar* places_of, int image, int tile, float16* line, int relu,
                       int keep) {
  __global const float* panel = panels + tile * depth * tile_channels;
  for (int row = 0; row < Y_HEIGHT; ++row) {
    __global const float* windows =
        x + (size_t)image * X_IMAGE + X_ORIGIN + row * POOL * STRIDE * X_ROW;
    for (int i = 0; i * TILE_ROWS < POOL; ++i) {
      const int r = tile_start(i, TILE_ROWS, POOL);
      for (int j = 0; j * TILE_COLUMNS < line_pixels; ++j) {
        const int c = tile_start(j, TILE_COLUMNS, line_pixels);
        correlate_to_line(windows + (r * X_ROW + c * X_PIXEL) * STRIDE, panel,
                          bias + tile * tile_channels, line + (r * line_pixels + c) * VECTORS,
                          relu);
      }
    }
    __global float* target =
        y + (size_t)image * Y_IMAGE + Y_INTERIOR + row * Y_ROW + tile * tile_channels;
    __global uchar* at =
        places_of + (size_t)image * place_image + row * place_row + tile * tile_channels;
    for (int column = 0; column < Y_WIDTH; ++column) {
      for (int v = 0; v < VECTORS; ++v) {
        uchar16 place;
        const float16 most = largest(line + column * POOL * VECTORS + v, &place);
        vstore16(most, v, target + column * Y_PIXEL);
        if (keep) vstore16(place, v, at + column * Y_PIXEL);
      }
    }
  }
}

// Work-items: (group of IMAGES images, tile of channels).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pooled_forward(
    __global const float* restrict x, __global const float* restrict panels,
    __global const float* restrict bias, __global float* restrict y,
    __global uchar* restrict places_of, int batch, int relu, int keep) {
  float16 line[POOL * line_pixels * VECTORS];
  const int first = get_global_id(0) * IMAGES;
  const int last = min(batch, first + IMAGES);
  for (int image = first; image < last; ++image)
    pool_image(x, panels, bias, y, places_of, image, get_global_id(1), line, relu, keep);
}

#if X_PIXEL % 16  // of few channels
#include "conv2d_cpu_images.clh"
#include "images.clh"

// The same with x made from images. Work-items: groups of IMAGES images.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pooled_forward_images(
    IMAGE_PARAMETERS, __global float* restrict x, __global const float* restrict panels,
    __global const float* restrict bias, __global float* restrict y,
    __global uchar* restrict places_of, int batch, int relu, int keep) {
  const Images images = IMAGE_VALUES;
  float16 line[POOL * line_pixels * VECTORS];
  const int first = get_global_id(0) * IMAGES;
  const int last = min(batch, first + IMAGES);
  for (int image = first; image < last; ++image) {
    make_image(images, image, x);
    for (int tile = 0; tile * tile_channels < Y_PIXEL; ++tile)
      pool_image(x, panels, bias, y, places_of, image, tile, line, relu, keep);
  }
}
#endif
