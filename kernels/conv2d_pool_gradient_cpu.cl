// The gradients of convolution, bias, ReLU and max-pool on CPUs, from that of the pooled map.
//
// The pool's gradient is zero but for one pixel of POOL * POOL. So nothing here multiplies with the
// zeros where it can be helped: the kernels walk the pooled gradient and go, element by element, to
// the window of the input whose output pixel won.
#include "conv2d_cpu_chunks.clh"
#include "conv2d_cpu_patch.clh"
#include "conv2d_cpu_tile.clh"
#include "conv2d_pool_cpu.clh"

#if !defined(BLOCK_VECTORS) || !defined(BAND) || !defined(SUMS_BAND)
#error "conv2d_pool_gradient_cpu.cl needs BLOCK_VECTORS, BAND and SUMS_BAND"
#endif

// ---- The network's input, without padded channels

// A vector holds output channels, each of which may have its maximum elsewhere, so all places are
// gone through with the gradient masked.

// partial[patch_rows][vector] += windows (x) dy over one image; not stored for the first `skip`
// weight rows.
INLINE void masked_products(__global const float* x, __global const float* dy,
                            __global const uchar* at, __global float* partial, int skip,
                            int fresh) {
  float16 sum[patch_rows][VECTORS];
  load_patch(sum, partial, fresh);
  for (int row = 0; row < Y_HEIGHT; ++row) {
    for (int column = 0; column < Y_WIDTH; ++column) {
      __global const float* windows = x + (row * X_ROW + column * X_PIXEL) * POOL * STRIDE;
      for (int k = 0; k < places; ++k) {
        float16 d[VECTORS];
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
          const int16 place = convert_int16(vload16(v, at + row * place_row + column * Y_PIXEL));
          d[v] = select((float16)(0.0f), vload16(v, dy + row * Y_ROW + column * Y_PIXEL),
                        place == k);
        }
        add_to_patch(sum, windows + (k / POOL * X_ROW + k % POOL * X_PIXEL) * STRIDE, d);
      }
    }
  }
  store_patch(sum, partial, skip);
}

// partial[chunk][depth + 1][Y_PIXEL]: the gradients of the weight and, in the last row, of the
// bias, over one chunk of images. The bias's is summed from exact_dy, which dy may be a rounded
// copy of. Work-items: (tile of channels, chunk), over the chunks of all passes.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void masked_weight_gradient(
    __global const float* restrict x, __global const float* restrict dy,
    __global const float* restrict exact_dy, __global const uchar* restrict places_of,
    __global float* restrict partial, int each, int images_per_chunk, int chunks) {
  const int channel = get_global_id(0) * tile_channels;
  const int2 images = images_of_chunk(get_global_id(1), each, images_per_chunk, chunks);
  partial += get_global_id(1) * (size_t)((depth + 1) * Y_PIXEL) + channel;
  for (int image = images.x; image < images.y; ++image) {
    const int fresh = image == images.x;
    const size_t interior = (size_t)image * Y_IMAGE + Y_INTERIOR + channel;
    __global const float* windows = x + (size_t)image * X_IMAGE + X_ORIGIN;
    add_pixels(exact_dy + interior, partial + depth * Y_PIXEL, Y_HEIGHT, fresh);
    for (int r = 0; r < runs; r += PATCH_RUNS) {
      for (int tile = 0; tile * PATCH < run; ++tile) {
        const int start = tile_start(tile, PATCH, run);
        masked_products(windows + run_offset(r) + start, dy + interior,
                        places_of + (size_t)image * place_image + channel,
                        partial + (r * run + start) * Y_PIXEL, tile * PATCH - start, fresh);
      }
    }
  }
}

// dweight and dbias from what masked_weight_gradient left. Work-items: taps, then the bias.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void sum_masked_chunks(
    __global const float* restrict partial, __global float* restrict dweight,
    __global float* restrict dbias, int chunks, int passes) {
  sum_tap(partial, dweight, dbias, get_global_id(0), chunks, passes);
}

// ---- A feature map, with padded channels

// A vector holds BLOCK_VECTORS * 16 input channels, so one window serves one element of dy.

enum {
  blocks = X_PIXEL / (BLOCK_VECTORS * lanes),
  // The gradient of one output channel's weights, in the order of the sums: [tap][X_PIXEL].
  channel_weights = taps * X_PIXEL,
  partial_chunk = (channel_weights + 1) * Y_PIXEL,
  // Of the input gradient's scratch, in vectors: the input with the border that padding stands for.
  area_width = X_WIDTH + 2 * PADDING,
  area_row = area_width * BLOCK_VECTORS,
};

// weight_sums[tap][vector] += window of the winning pixel * dy, over `rows` rows of pooled pixels,
// for one output channel.
INLINE void window_products(__global const float* x, __global const float* dy,
                            __global const uchar* at, const int* offsets,
                            __global float* weight_sums, int rows, int fresh) {
  float16 sum[taps][BLOCK_VECTORS];
#pragma unroll
  for (int t = 0; t < taps; ++t) {
#pragma unroll
    for (int v = 0; v < BLOCK_VECTORS; ++v)
      sum[t][v] = fresh ? (float16)(0.0f) : vload16(v, weight_sums + t * X_PIXEL);
  }
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < Y_WIDTH; ++column) {
      const float d = dy[row * Y_ROW + column * Y_PIXEL];
      __global const float* window = x + (row * X_ROW + column * X_PIXEL) * POOL * STRIDE +
                                     offsets[at[row * place_row + column * Y_PIXEL]];
#pragma unroll
      for (int t = 0; t < taps; ++t) {
#pragma unroll
        for (int v = 0; v < BLOCK_VECTORS; ++v)
          sum[t][v] += vload16(v, window + t / KERNEL * X_ROW + t % KERNEL * X_PIXEL) * d;
      }
    }
  }
#pragma unroll
  for (int t = 0; t < taps; ++t) {
#pragma unroll
    for (int v = 0; v < BLOCK_VECTORS; ++v) vstore16(sum[t][v], v, weight_sums + t * X_PIXEL);
  }
}

// partial[chunk]: [Y_PIXEL][taps][X_PIXEL], the gradients of the weight over one chunk of images;
// behind them [Y_PIXEL], the bias's, summed from exact_dy, which dy may be a rounded copy of.
// Work-items: (block of input channels, chunk), over the chunks of all passes.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pooled_weight_gradient(
    __global const float* restrict x, __global const float* restrict dy,
    __global const float* restrict exact_dy, __global const uchar* restrict places_of,
    __global float* restrict partial, int each, int images_per_chunk, int chunks) {
  const int block = get_global_id(0);
  const int2 images = images_of_chunk(get_global_id(1), each, images_per_chunk, chunks);
  int offsets[places];
  for (int k = 0; k < places; ++k) offsets[k] = (k / POOL * X_ROW + k % POOL * X_PIXEL) * STRIDE;
  partial += get_global_id(1) * (size_t)partial_chunk;
  for (int image = images.x; image < images.y; ++image) {
    const size_t interior = (size_t)image * Y_IMAGE + Y_INTERIOR;
    for (int channel = 0; block == 0 && channel < Y_PIXEL; channel += tile_channels) {
      add_pixels(exact_dy + interior + channel, partial + channel_weights * Y_PIXEL + channel, Y_HEIGHT,
                 image == images.x);
    }
    // So few rows that their part of x stays in the first-level cache while all channels pass by.
    for (int row = 0; row < Y_HEIGHT; row += SUMS_BAND) {
      __global const float* windows = x + (size_t)image * X_IMAGE + X_ORIGIN +
                                      row * POOL * STRIDE * X_ROW + block * BLOCK_VECTORS * lanes;
      for (int channel = 0; channel < Y_PIXEL; ++channel) {
        window_products(windows, dy + interior + row * Y_ROW + channel,
                        places_of + (size_t)image * place_image + row * place_row + channel, offsets,
                        partial + channel * channel_weights + block * BLOCK_VECTORS * lanes,
                        min(SUMS_BAND, Y_HEIGHT - row), image == images.x && row == 0);
      }
    }
  }
}

// dweight[tap][X_CHANNELS][Y_PIXEL] and dbias[Y_PIXEL] from what pooled_weight_gradient left, turned.
// Work-items: (taps, then the bias; 16 output channels).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void sum_pooled_chunks(
    __global const float* restrict partial, __global float* restrict dweight,
    __global float* restrict dbias, int chunks, int passes) {
  const int tap = get_global_id(0);
  const int out = get_global_id(1) * lanes;
  if (tap == taps) {
    __global const float* from = partial + channel_weights * Y_PIXEL + out;
    vstore16(sum_of_chunks(from, partial_chunk, chunks, passes), 0, dbias + out);
    return;
  }
  for (int in = 0; in < X_PIXEL; in += lanes) {
    float square[lanes * lanes];  // [out][in]
    for (int o = 0; o < lanes; ++o) {
      __global const float* from = partial + (out + o) * channel_weights + tap * X_PIXEL + in;
      vstore16(sum_of_chunks(from, partial_chunk, chunks, passes), o, square);
    }
    for (int i = 0; i < min((int)lanes, X_CHANNELS - in); ++i) {
      for (int o = 0; o < lanes; ++o)
        dweight[(tap * X_CHANNELS + in + i) * Y_PIXEL + out + o] = square[o * lanes + i];
    }
  }
}

// turned[Y_CHANNELS][taps][X_PIXEL] from weight[tap][X_CHANNELS][Y_PIXEL], with zeros in the padding
// lanes. Work-items: (taps, 16 output channels).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pack_by_channel(
    __global const float* restrict weight, __global float* restrict turned) {
  const int tap = get_global_id(0);
  const int out = get_global_id(1) * lanes;
  for (int o = out; o < min(out + (int)lanes, Y_CHANNELS); ++o) {
    __global float* target = turned + (o * taps + tap) * X_PIXEL;
    for (int i = 0; i < X_PIXEL; ++i)
      target[i] = i < X_CHANNELS ? weight[(tap * X_CHANNELS + i) * Y_PIXEL + o] : 0.0f;
  }
}

// area += the winning windows' weights * dy, over `rows` rows of pooled pixels, for one output
// channel whose weights are [taps][X_PIXEL].
INLINE void scatter(const int* offsets, __global const float* dy, __global const uchar* at,
                    __global const float* weights, float16* area, int rows) {
  float16 weight[taps][BLOCK_VECTORS];
#pragma unroll
  for (int t = 0; t < taps; ++t) {
#pragma unroll
    for (int v = 0; v < BLOCK_VECTORS; ++v) weight[t][v] = vload16(v, weights + t * X_PIXEL);
  }
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < Y_WIDTH; ++column) {
      const float d = dy[row * Y_ROW + column * Y_PIXEL];
      float16* window = area + (row * area_row + column * BLOCK_VECTORS) * POOL * STRIDE +
                        offsets[at[row * place_row + column * Y_PIXEL]];
#pragma unroll
      for (int t = 0; t < taps; ++t) {
#pragma unroll
        for (int v = 0; v < BLOCK_VECTORS; ++v)
          window[t / KERNEL * area_row + t % KERNEL * BLOCK_VECTORS + v] += weight[t][v] * d;
      }
    }
  }
}

// dx from the pooled dy; 0 where gate, the forward pass's input, is <= 0 when `mask`. Work-items:
// (image, block of input channels).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pooled_input_gradient(
    __global const float* restrict dy, __global const uchar* restrict places_of,
    __global const float* restrict turned, __global const float* restrict gate,
    __global float* restrict dx, int mask) {
  float16 area[(X_HEIGHT + 2 * PADDING) * area_row];  // with the border that padding stands for
  const size_t image = get_global_id(0);
  const int channels = get_global_id(1) * BLOCK_VECTORS * lanes;
  int offsets[places];
  for (int k = 0; k < places; ++k)
    offsets[k] = (k / POOL * area_row + k % POOL * BLOCK_VECTORS) * STRIDE;
  for (int i = 0; i < (X_HEIGHT + 2 * PADDING) * area_row; ++i) area[i] = 0.0f;
  // So few rows that the part of `area` that they reach stays in the first-level cache.
  for (int row = 0; row < Y_HEIGHT; row += BAND) {
    for (int channel = 0; channel < Y_CHANNELS; ++channel) {
      scatter(offsets, dy + image * Y_IMAGE + Y_INTERIOR + row * Y_ROW + channel,
              places_of + image * place_image + row * place_row + channel,
              turned + channel * channel_weights + channels, area + row * POOL * STRIDE * area_row,
              min(BAND, Y_HEIGHT - row));
    }
  }
  const size_t interior = image * X_IMAGE + X_INTERIOR + channels;
  for (int row = 0; row < X_HEIGHT; ++row) {
    for (int column = 0; column < X_WIDTH; ++column) {
      const size_t target = interior + row * X_ROW + column * X_PIXEL;
      const float16* from = area + (row + PADDING) * area_row + (column + PADDING) * BLOCK_VECTORS;
      for (int v = 0; v < BLOCK_VECTORS; ++v) {
        float16 value = from[v];
        if (mask) value = select(value, (float16)(0.0f), vload16(v, gate + target) <= 0.0f);
        vstore16(value, v, dx + target);
      }
    }
  }
}
