// 2-D convolution on GPUs: forward with bias, ReLU and perhaps a 2x2 max-pool, input gradient, weight gradient.
// Implicit matrix products (gpu_tile.clh) in plain OpenCL C.
//
// The geometry of X and Y is defined by ops/conv2d_gpu.cpp as for conv2d_cpu.cl; with POOL 2, Y is the pooled map. Each
// of the three products C[m][n] = sum_k A[m][k] B[k][n] has its own tile, _M x _N results a work-group of which a
// work-item has _ROWS x _COLUMNS:
//   forward          m: pixel of y,       n: channel of y,  k: (tap, channel of x)
//   input gradient   m: pixel of x,       n: channel of x,  k: (tap, channel of y)
//   weight gradient  m: (tap, channel of x), n: channel of y,  k: pixel of y, in chunks of images
// What the next slice of k needs is on its way to registers while this one is multiplied. Only what is asked for is
// built: forward_images with IMAGES, the gradients with GRADIENTS.
//
// A pixel of y in front of the pool counts here as pixel `place` of unit `unit`, a window of the pool; places are 0 to
// 3 in row-major order. The gradient of a unit belongs to the place of its maximum. Without a pool units are pixels.
//
// With NORMALISED batch norm and ReLU stand in front of x: what lies in memory is their input, and they are done as it
// is read. `norm` is BatchNormSums::law() with `norm_row` floats a row: mean, scale, beta. Channels come in vectors of
// four.

#ifndef FORWARD_M
#error "built by ops/conv2d_gpu.cpp with the geometry of one layer"
#endif

#include "finish.clh"
#include "gpu_tile.clh"
#include "images.clh"

enum {
  taps = KERNEL * KERNEL,
  depth = taps * X_CHANNELS,  // rows of the weight matrix
  window_places = POOL * POOL,
  units_per_image = Y_HEIGHT * Y_WIDTH,
  y_rows = Y_HEIGHT * POOL,  // in front of the pool
  y_columns = Y_WIDTH * POOL,
  x_pixels = X_HEIGHT * X_WIDTH,
  x_vectors = X_CHANNELS % 4 == 0,  // four rows of the weight matrix are four channels of one pixel of x

  forward_threads = FORWARD_M * FORWARD_N / (FORWARD_ROWS * FORWARD_COLUMNS),
  forward_vectors = FORWARD_COLUMNS / 4,
  forward_apart = FORWARD_M / FORWARD_ROWS,
  forward_units = FORWARD_M / window_places,
  input_threads = INPUT_M * INPUT_N / (INPUT_ROWS * INPUT_COLUMNS),
  input_vectors = INPUT_COLUMNS / 4,
  input_apart = INPUT_M / INPUT_ROWS,
  weight_threads = WEIGHT_M * WEIGHT_N / (WEIGHT_ROWS * WEIGHT_COLUMNS),
  weight_vectors = WEIGHT_COLUMNS / 4,
};

// Where the window of x begins that pixel `place` of a unit looks at.
INLINE size_t window_of(int unit, int place) {
  const int row = unit % units_per_image / Y_WIDTH * POOL + place / POOL;
  const int column = unit % Y_WIDTH * POOL + place % POOL;
  return (size_t)(unit / units_per_image) * X_IMAGE + X_ORIGIN + (row * X_ROW + column * X_PIXEL) * STRIDE;
}

INLINE size_t y_of(int unit) {
  return (size_t)(unit / units_per_image) * Y_IMAGE + Y_INTERIOR + unit % units_per_image / Y_WIDTH * Y_ROW +
         unit % Y_WIDTH * Y_PIXEL;
}

INLINE float4 normalised(float4 x, __global const float* norm, int norm_row, int channel) {
#if NORMALISED
  norm += channel;
  x = fma(x - load4(norm), load4(norm + norm_row), load4(norm + 2 * norm_row));
  x = select(x, (float4)(0.0f), x < 0.0f);  // a NaN passes
#endif
  return x;
}

// Row and column of x, borders not counted, of the first pixel that pixel `place` of a unit looks at.
INLINE short2 corner_of(int unit, int place) {
  const int row = (unit % units_per_image / Y_WIDTH * POOL + place / POOL) * STRIDE - PADDING;
  const int column = (unit % Y_WIDTH * POOL + place % POOL) * STRIDE - PADDING;
  return (short2)(row, column);
}

// Whether the pixel that weight row k reads in the window at `corner` lies within the borders, which are zeros.
INLINE uint is_inside(short2 corner, int k) {
  const int tap = k / X_CHANNELS;
  return (uint)(corner.x + tap / KERNEL) < X_HEIGHT && (uint)(corner.y + tap % KERNEL) < X_WIDTH;
}

// Where weight row k = (tap, channel of x) reads within a window.
INLINE int within_window(int k) {
  const int tap = k / X_CHANNELS;
  return tap / KERNEL * X_ROW + tap % KERNEL * X_PIXEL + k % X_CHANNELS;
}

// ---- forward ----

// Row `row` of a tile: where a work-item has the four places of a window in rows of its own.
INLINE int unit_of(int row) {
  return POOL == 1 ? row : row / (4 * forward_apart) * forward_apart + row % forward_apart;
}
INLINE int place_of(int row) {
  return POOL == 1 ? 0 : row / forward_apart % 4;
}

INLINE __global const uchar* plane_of(const Images images, int image, int channel) {
  return pixels_of(images, image, X_CHANNELS * x_pixels) + channel * x_pixels;
}

// Whether it is this pixel of y that writes what it sees at (row, column) of x: one does for each that windows look at,
// or all that see it where strides leave gaps.
INLINE int writes(int y_row, int y_column, int row, int column) {
#if STRIDE > 1 || PADDING >= KERNEL
  return 1;
#endif
  return y_row == min(row, y_rows - 1) && y_column == min(column, y_columns - 1);
}

// What element (row of a tile, k) of A is of x.
typedef struct {
  int image, row, column, inside, is_written;
} Element;

INLINE Element element_of(int unit0, int last_unit, int local_row, int k) {
  const int unit = min(unit0 + unit_of(local_row), last_unit), place = place_of(local_row);
  const int y_row = unit % units_per_image / Y_WIDTH * POOL + place / POOL;
  const int y_column = unit % Y_WIDTH * POOL + place % POOL;
  const int tap = k / X_CHANNELS;
  Element of;
  of.image = unit / units_per_image;
  of.row = y_row * STRIDE + tap / KERNEL - PADDING, of.column = y_column * STRIDE + tap % KERNEL - PADDING;
  of.inside = k < depth && of.row >= 0 && of.row < X_HEIGHT && of.column >= 0 && of.column < X_WIDTH;
  of.is_written = of.inside && writes(y_row, y_column, of.row, of.column);
  return of;
}

INLINE void write_x(__global float* x, const Element of, int channel, float value) {
  x[(size_t)of.image * X_IMAGE + X_ORIGIN + (of.row + PADDING) * X_ROW + (of.column + PADDING) * X_PIXEL +
            channel] = value;
}

// A slice of A from images, to local memory. A work-item makes one column of it, eight rows at a time: their loads set
// out together.
INLINE void put_images(__local float* a, const Images images, __global float* x, int unit0, int last_unit, int k0,
                       int is_writer) {
  enum { rows_apart = forward_threads / slice, rows = FORWARD_M / rows_apart, together = rows < 8 ? rows : 8 };
  const int k = k0 + (int)get_local_id(0) % slice, first_row = (int)get_local_id(0) / slice;
  const int channel = k % X_CHANNELS;
  a += k - k0;
  if (augments(images)) {
    int drawn_image = -1;
    Draw drawn;
    for (int i = first_row; i < FORWARD_M; i += rows_apart) {
      const Element of = element_of(unit0, last_unit, i, k);
      if (of.image != drawn_image) drawn = draw_of(images, of.image, X_HEIGHT, X_WIDTH);
      drawn_image = of.image;
      const float value = of.inside ? augmented_value(images, plane_of(images, of.image, channel), channel, drawn,
                                                      of.row, of.column, X_HEIGHT, X_WIDTH)
                                    : 0.0f;
      a[i * pitch] = value;
      if (is_writer && of.is_written) write_x(x, of, channel, value);
    }
    return;
  }
  const float scale = images.scale[channel], shift = images.shift[channel];
  for (int i = first_row; i < FORWARD_M; i += together * rows_apart) {
    float values[together];
    UNROLL for (int j = 0; j < together; ++j) {
      const Element of = element_of(unit0, last_unit, i + j * rows_apart, k);
      values[j] =
          of.inside ? fma((float)plane_of(images, of.image, channel)[of.row * X_WIDTH + of.column], scale, shift)
                    : 0.0f;
    }
    UNROLL for (int j = 0; j < together; ++j) {
      const Element of = element_of(unit0, last_unit, i + j * rows_apart, k);
      a[(i + j * rows_apart) * pitch] = values[j];
      if (is_writer && of.is_written) write_x(x, of, channel, values[j]);
    }
  }
}

// The same from x, one by one.
INLINE void put_values(__local float* a, __global const float* x, int unit0, int last_unit, int k0) {
  enum { rows_apart = forward_threads / slice, rows = FORWARD_M / rows_apart };
  const int k = k0 + (int)get_local_id(0) % slice, within = within_window(k);
  UNROLL for (int i = 0; i < rows; ++i) {
    const int row = (int)get_local_id(0) / slice + i * rows_apart;
    const size_t window = window_of(min(unit0 + unit_of(row), last_unit), place_of(row));
    a[row * pitch + k - k0] = k < depth ? x[window + within] : 0.0f;
  }
}

INLINE float4 rectify(float4 value, int finish) {
  // A comparison that is false for NaN: it passes on and is found by the loss.
  return finish & FINISH_RELU ? select(value, (float4)(0.0f), value < 0.0f) : value;
}

INLINE void store_forward(const float4* sum, __global const float* bias, __global uchar* places, __global float* y,
                          int unit0, int last_unit, int n, int first_row, int finish) {
  UNROLL for (int i = 0; i < FORWARD_ROWS; i += window_places) {
    const int unit = unit0 + unit_of(first_row + i * forward_apart);
    if (unit > last_unit) continue;
    __global float* target = y + y_of(unit) + n;
    UNROLL for (int j = 0; j < forward_vectors; ++j) {
      const int column = j * (FORWARD_N / 2);
      float4 most = sum[i * forward_vectors + j];
      int4 place = 0;
      // The first of the largest. A NaN is kept.
      UNROLL for (int other = 1; other < window_places; ++other) {
        const float4 value = sum[(i + other) * forward_vectors + j];
        const int4 wins = (value > most) | isnan(value);
        most = select(most, value, wins);
        place = select(place, (int4)(other), wins);
      }
      store4(target + column, rectify(most + load4(bias + n + column), finish));
#if POOL > 1
      if (finish & FINISH_PLACES)
        *(__global uchar4*)(places + (size_t)unit * Y_PIXEL + n + column) = convert_uchar4(place);
#endif
    }
  }
}

// From x; or, where they are given, from images, and the x that is made of them is written to `made`.
INLINE void forward_tile(__local float* a, __local float* b, __global const float* x, const Images* images,
                         __global float* made, __global const float* weight, __global const float* bias,
                         __global uchar* places, __global float* y, int batch, int finish,
                         __global const float* norm, int norm_row) {
  const int item = get_local_id(0);
  const int unit0 = (int)get_group_id(0) * forward_units;
  const int last_unit = batch * units_per_image - 1;
  const int n0 = (int)get_group_id(1) * FORWARD_N;
  const int first_row = item / (FORWARD_N / FORWARD_COLUMNS);
  const int column = item % (FORWARD_N / FORWARD_COLUMNS) * 4;
  const int by_vectors = x_vectors && !images;
  float4 sum[FORWARD_ROWS * forward_vectors];
  UNROLL for (int i = 0; i < FORWARD_ROWS * forward_vectors; ++i) sum[i] = 0.0f;

  // Past the last unit the last one is read again; past the last weight row both factors are zero.
  float4 next_a[FETCHES(FORWARD_M, forward_threads)], next_b[FETCHES(FORWARD_N, forward_threads)];
  int windows[FETCHES(FORWARD_M, forward_threads)];
#if NORMALISED
  short2 corners[FETCHES(FORWARD_M, forward_threads)];
  uint inside_bits = 0;  // a bit for each of next_a
#endif
  const size_t base = window_of(min(unit0, last_unit), 0);
  if (by_vectors) {
    UNROLL for (int i = 0; i < FETCHES(FORWARD_M, forward_threads); ++i) {
      const int row = min((item + i * forward_threads) / quads, FORWARD_M - 1);
      windows[i] = (int)(window_of(min(unit0 + unit_of(row), last_unit), place_of(row)) - base);
#if NORMALISED
      corners[i] = corner_of(min(unit0 + unit_of(row), last_unit), place_of(row));
#endif
    }
    x += base;
  }
  for (int k0 = -slice; k0 < depth; k0 += slice) {
    if (k0 >= 0) {
      barrier(CLK_LOCAL_MEM_FENCE);
      if (by_vectors) {
        UNROLL for (int i = 0; i < FETCHES(FORWARD_M, forward_threads); ++i) {
          const int at = item + i * forward_threads;
#if NORMALISED
          next_a[i] = inside_bits >> i & 1 ? normalised(next_a[i], norm, norm_row, (k0 + item % quads * 4) % X_CHANNELS)
                                      : (float4)(0.0f);
#endif
          if (at < FORWARD_M * quads) put4(a + at / quads * pitch + at % quads * 4, next_a[i]);
        }
      } else if (images) {
        put_images(a, *images, made, unit0, last_unit, k0, n0 == 0);
      } else {
        put_values(a, x, unit0, last_unit, k0);
      }
      UNROLL for (int i = 0; i < FETCHES(FORWARD_N, forward_threads); ++i) {
        const int at = item + i * forward_threads;
        if (at < FORWARD_N * quads) put4(b + at * 4, next_b[i]);
      }
      barrier(CLK_LOCAL_MEM_FENCE);
    }
    const int next = k0 + slice;
    if (next < depth) {
      if (by_vectors) {
        const int k = next + item % quads * 4;
        const int within = within_window(min(k, depth - 4));
        UNROLL for (int i = 0; i < FETCHES(FORWARD_M, forward_threads); ++i)
          next_a[i] = k < depth ? load4(x + windows[i] + within) : (float4)(0.0f);
#if NORMALISED
        inside_bits = 0;
        UNROLL for (int i = 0; i < FETCHES(FORWARD_M, forward_threads); ++i)
          inside_bits |= (k < depth ? is_inside(corners[i], k) : 0) << i;
#endif
      }
      UNROLL for (int i = 0; i < FETCHES(FORWARD_N, forward_threads); ++i) {
        const int at = item + i * forward_threads;
        const int k = next + at / (FORWARD_N / 4);
        next_b[i] = k < depth && at < FORWARD_N * quads
                        ? load4(weight + (size_t)k * Y_PIXEL + n0 + at % (FORWARD_N / 4) * 4)
                        : (float4)(0.0f);
      }
    }
    if (k0 >= 0)
      MULTIPLY_ROWS(a + first_row * pitch, forward_apart, b + column, FORWARD_N, FORWARD_ROWS, forward_vectors, sum);
  }
  store_forward(sum, bias, places, y, unit0, last_unit, n0 + column, first_row, finish);
}

// y = x * weight + bias, the largest of each window of the pool, then max(0, .) when asked to. `places`: bytes [batch,
// height, width, channels] of the pooled map. Work-groups: (tile of units, tile of channels).
__kernel __attribute__((reqd_work_group_size(forward_threads, 1, 1))) void forward(
    __global const float* restrict x, __global const float* restrict weight, __global const float* restrict bias,
    __global uchar* restrict places, __global float* restrict y, int batch, int finish,
    __global const float* restrict norm, int norm_row) {
  LOCAL_TILE(a, FORWARD_M * pitch);
  LOCAL_TILE(b, slice * FORWARD_N);
  forward_tile(a, b, x, 0, 0, weight, bias, places, y, batch, finish, norm, norm_row);
}

#if IMAGES
// The same with x made from images. Each pixel of x that a window looks at is written.
__kernel __attribute__((reqd_work_group_size(forward_threads, 1, 1))) void forward_images(
    IMAGE_PARAMETERS, __global float* restrict x, __global const float* restrict weight,
    __global const float* restrict bias, __global uchar* restrict places, __global float* restrict y, int batch,
    int finish) {
  LOCAL_TILE(a, FORWARD_M * pitch);
  LOCAL_TILE(b, slice * FORWARD_N);
  const Images images = IMAGE_VALUES;
  forward_tile(a, b, 0, &images, x, weight, bias, places, y, batch, finish, 0, 0);
}
#endif

#if GRADIENTS

// ---- gradients ----

// Four channels of the gradient of pixel `place` of a unit: where its maximum was there.
INLINE float4 gradient_of(__global const float* dy, __global const uchar* places, size_t at, int unit, int place,
                          int channel) {
  const float4 value = load4(dy + at + channel);
  if (POOL == 1) return value;
  const uchar4 maximum = *(__global const uchar4*)(places + (size_t)unit * Y_PIXEL + channel);
  return select((float4)(0.0f), value, convert_int4(maximum) == place);
}

// Four channels of dy at the pixel of y that saw input pixel (image, row, column) through `tap`; else zeros.
INLINE float4 seen_through(__global const float* dy, __global const uchar* places, int tap, int image, int row,
                           int column, int channel) {
  const int i = row + PADDING - tap / KERNEL, j = column + PADDING - tap % KERNEL;
  if (i < 0 || j < 0 || i % STRIDE || j % STRIDE || i / STRIDE >= y_rows || j / STRIDE >= y_columns)
    return (float4)(0.0f);
  const int y_row = i / STRIDE, y_column = j / STRIDE;
  const int unit_row = y_row / POOL, unit_column = y_column / POOL;
  return gradient_of(dy, places,
                     (size_t)image * Y_IMAGE + (Y_INTERIOR + unit_row * Y_ROW + unit_column * Y_PIXEL),
                     (image * Y_HEIGHT + unit_row) * Y_WIDTH + unit_column,
                     y_row % POOL * POOL + y_column % POOL, channel);
}

// dx, by `finish` 0 where gate, the forward pass's input, is <= 0. Work-groups: (tile of pixels, tile of channels).
// Without strides and pools, borders of dy are zeros in memory.
__kernel __attribute__((reqd_work_group_size(input_threads, 1, 1))) void input_gradient(
    __global const float* restrict dy, __global const float* restrict weight, __global const float* restrict gate,
    __global const uchar* restrict places, __global float* restrict dx, int batch, int finish,
    __global const float* restrict norm, int norm_row) {
  LOCAL_TILE(a, INPUT_M * pitch);
  LOCAL_TILE(b, slice * INPUT_N);
  enum {
    a_fetches = FETCHES(INPUT_M, input_threads),
    b_fetches = FETCHES(INPUT_N, input_threads),
    has_borders = STRIDE * POOL == 1,
  };
  const int item = get_local_id(0);
  const int m0 = (int)get_group_id(0) * INPUT_M, n0 = (int)get_group_id(1) * INPUT_N;
  const int last_pixel = batch * x_pixels - 1;
  const int first_row = item / (INPUT_N / INPUT_COLUMNS);
  const int first_column = item % (INPUT_N / INPUT_COLUMNS) * 4;
  float4 sum[INPUT_ROWS * input_vectors];
  UNROLL for (int i = 0; i < INPUT_ROWS * input_vectors; ++i) sum[i] = 0.0f;

  float4 next_a[a_fetches], next_b[b_fetches];
  int images[a_fetches], rows[a_fetches], columns[a_fetches];  // of the pixels to fetch for
  UNROLL for (int i = 0; i < a_fetches; ++i) {
    const int pixel = min(m0 + (item + i * input_threads) / quads, last_pixel);
    images[i] = pixel / x_pixels;
    rows[i] = pixel % x_pixels / X_WIDTH, columns[i] = pixel % X_WIDTH;
  }
  for (int k0 = -slice; k0 < taps * Y_PIXEL; k0 += slice) {
    if (k0 >= 0) {
      barrier(CLK_LOCAL_MEM_FENCE);
      UNROLL for (int i = 0; i < a_fetches; ++i) {
        const int at = item + i * input_threads;
        if (at < INPUT_M * quads) put4(a + at / quads * pitch + at % quads * 4, next_a[i]);
      }
      UNROLL for (int i = 0; i < b_fetches; ++i) {
        const int at = item + i * input_threads;
        if (at >= INPUT_N * quads) continue;
        __local float* target = b + at / INPUT_N * 4 * INPUT_N + at % INPUT_N;
        target[0] = next_b[i].x, target[INPUT_N] = next_b[i].y;
        target[2 * INPUT_N] = next_b[i].z, target[3 * INPUT_N] = next_b[i].w;
      }
      barrier(CLK_LOCAL_MEM_FENCE);
    }
    const int next = k0 + slice;
    if (next < taps * Y_PIXEL) {
      const int tap = next / Y_PIXEL, channel = next % Y_PIXEL;  // Y_PIXEL is a multiple of the slice: one tap
      UNROLL for (int i = 0; i < a_fetches; ++i) {
        const int quad = channel + item % quads * 4;
        if (has_borders) {
          const int row = rows[i] + PADDING - tap / KERNEL, column = columns[i] + PADDING - tap % KERNEL;
          next_a[i] = load4(dy + (size_t)images[i] * Y_IMAGE + (Y_INTERIOR + row * Y_ROW + column * Y_PIXEL + quad));
        } else {
          next_a[i] = seen_through(dy, places, tap, images[i], rows[i], columns[i], quad);
        }
      }
      UNROLL for (int i = 0; i < b_fetches; ++i) {
        const int at = item + i * input_threads;
        const int input_channel = n0 + at % INPUT_N;
        next_b[i] = input_channel < X_CHANNELS && at < INPUT_N * quads
                        ? load4(weight + (size_t)(tap * X_CHANNELS + input_channel) * Y_PIXEL + channel +
                                at / INPUT_N * 4)
                        : (float4)(0.0f);
      }
    }
    if (k0 >= 0)
      MULTIPLY_ROWS(a + first_row * pitch, input_apart, b + first_column, INPUT_N, INPUT_ROWS, input_vectors, sum);
  }
  UNROLL for (int i = 0; i < INPUT_ROWS; ++i) {
    const int pixel = m0 + first_row + i * input_apart;
    if (pixel > last_pixel) continue;
    const size_t target = (size_t)(pixel / x_pixels) * X_IMAGE + X_INTERIOR + pixel % x_pixels / X_WIDTH * X_ROW +
                          pixel % X_WIDTH * X_PIXEL;
    UNROLL for (int j = 0; j < input_vectors; ++j) {
      const int n = n0 + first_column + j * (INPUT_N / 2);
      const float4 value = sum[i * input_vectors + j];
      if (X_PIXEL % 4 == 0) {
        if (n >= X_PIXEL) continue;
        const float4 input = normalised(load4(gate + target + n), norm, norm_row, n);
        store4(dx + target + n, finish & FINISH_MASK ? select(value, (float4)(0.0f), input <= 0.0f) : value);
      } else {
        const float values[4] = {value.x, value.y, value.z, value.w};
        for (int c = 0; c < 4 && n + c < X_PIXEL; ++c)
          dx[target + n + c] = (finish & FINISH_MASK) && gate[target + n + c] <= 0.0f ? 0.0f : values[c];
      }
    }
  }
}

// Where pixel k of the slices of the weight gradient, counted over the batch, lies.
typedef struct {
  ulong window, y;
#if NORMALISED
  short2 corner;
#endif
} Spot;

INLINE Spot spot_of(int k, int last) {
  const int pixel = min(k, last - 1);
  Spot spot;
  spot.window = window_of(pixel / window_places, pixel % window_places);
  spot.y = y_of(pixel / window_places);
#if NORMALISED
  spot.corner = corner_of(pixel / window_places, pixel % window_places);
#endif
  return spot;
}

// partial[pass][chunk][depth + 1][Y_PIXEL]: the gradients of the weight and, in the last row, of the bias, over one of
// the `chunks` of the pixels of a pass of `batch` images. With EXACT_BIAS dy is a rounded copy of exact_dy, and the
// bias's is summed from the latter. Work-groups: (tile of weight rows, tile of channels, pass and chunk).
__kernel __attribute__((reqd_work_group_size(weight_threads, 1, 1))) void weight_gradient(
    __global const float* restrict x, __global const float* restrict dy, __global const float* restrict exact_dy,
    __global const uchar* restrict places, __global float* restrict partial, int batch, int pixels_per_chunk,
    int chunks, __global const float* restrict norm, int norm_row) {
  LOCAL_TILE(a, slice * WEIGHT_M);
  LOCAL_TILE(b, slice * WEIGHT_N);
  __local Spot spots[slice];  // of the slice to be fetched
  enum { a_fetches = FETCHES(WEIGHT_M, weight_threads), b_fetches = FETCHES(WEIGHT_N, weight_threads) };
  const int item = get_local_id(0);
  const int m0 = (int)get_group_id(0) * WEIGHT_M, n0 = (int)get_group_id(1) * WEIGHT_N;
  const int m = item / (WEIGHT_N / WEIGHT_COLUMNS) * 4;
  const int n = item % (WEIGHT_N / WEIGHT_COLUMNS) * 4;
  const int pass = (int)get_group_id(2) / chunks, chunk = (int)get_group_id(2) % chunks;
  const int pixels = batch * units_per_image * window_places;
  const int first = pass * pixels + chunk * pixels_per_chunk;
  const int last = min((pass + 1) * pixels, first + pixels_per_chunk);
  float4 sum[WEIGHT_ROWS * weight_vectors];
  float4 bias = 0.0f;  // of the four channels that this work-item fetches
  UNROLL for (int i = 0; i < WEIGHT_ROWS * weight_vectors; ++i) sum[i] = 0.0f;
  float4 next_a[a_fetches], next_b[b_fetches];
#if NORMALISED
  uint inside_bits = 0;  // a bit for each of next_a
#endif

  if (item < slice) spots[item] = spot_of(first + item, last);
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int k0 = first - slice; k0 < last; k0 += slice) {
    if (k0 >= first) {
      barrier(CLK_LOCAL_MEM_FENCE);
      UNROLL for (int i = 0; i < a_fetches; ++i) {
        const int at = item + i * weight_threads;
#if NORMALISED
        const int row = m0 + at % (WEIGHT_M / 4) * 4;
        next_a[i] =
            inside_bits >> i & 1 ? normalised(next_a[i], norm, norm_row, row % X_CHANNELS) : (float4)(0.0f);
#endif
        if (at < WEIGHT_M * quads) put4(a + at * 4, next_a[i]);
      }
      UNROLL for (int i = 0; i < b_fetches; ++i) {
        const int at = item + i * weight_threads;
        if (at < WEIGHT_N * quads) put4(b + at * 4, next_b[i]);
      }
      if (item < slice) spots[item] = spot_of(k0 + slice + item, last);
      barrier(CLK_LOCAL_MEM_FENCE);
    }
    const int next = k0 + slice;
    if (next < last) {
      UNROLL for (int i = 0; i < a_fetches; ++i) {
        const int at = item + i * weight_threads;
        const int k = min(at / (WEIGHT_M / 4), slice - 1), row = m0 + at % (WEIGHT_M / 4) * 4;
        __global const float* window = x + spots[k].window;
#if NORMALISED
        const uint is_set = next + k < last && row < depth ? is_inside(spots[k].corner, row) : 0;
        inside_bits = (i == 0 ? 0 : inside_bits) | is_set << i;
#endif
        if (x_vectors) {
          next_a[i] = next + k < last && row < depth ? load4(window + within_window(row)) : (float4)(0.0f);
        } else {
          float values[4];
          UNROLL for (int c = 0; c < 4; ++c)
            values[c] = next + k < last && row + c < depth ? window[within_window(row + c)] : 0.0f;
          next_a[i] = (float4)(values[0], values[1], values[2], values[3]);
        }
      }
      UNROLL for (int i = 0; i < b_fetches; ++i) {
        const int at = item + i * weight_threads;
        const int k = min(at / (WEIGHT_N / 4), slice - 1), channel = n0 + at % (WEIGHT_N / 4) * 4;
        const int unit = (next + k) / window_places, place = (next + k) % window_places;
        const int inside = next + k < last && at < WEIGHT_N * quads;
        next_b[i] = inside ? gradient_of(dy, places, spots[k].y, unit, place, channel) : (float4)(0.0f);
#if EXACT_BIAS
        if (inside) bias += gradient_of(exact_dy, places, spots[k].y, unit, place, channel);
#else
        bias += next_b[i];
#endif
      }
    }
    if (k0 >= first)
      MULTIPLY_COLUMNS(a + m, WEIGHT_M, b + n, WEIGHT_N, WEIGHT_ROWS / 4, weight_vectors, sum);
  }
  partial += get_group_id(2) * (size_t)((depth + 1) * Y_PIXEL) + n0 + n;
  UNROLL for (int i = 0; i < WEIGHT_ROWS; ++i) {
    const int row = m0 + m + i / 4 * (WEIGHT_M / 2) + i % 4;
    UNROLL for (int j = 0; j < weight_vectors; ++j) {
      if (row < depth) store4(partial + (size_t)row * Y_PIXEL + j * (WEIGHT_N / 2), sum[i * weight_vectors + j]);
    }
  }
  if (m0 > 0) return;
  barrier(CLK_LOCAL_MEM_FENCE);
  put4(b + item * 4, bias);
  barrier(CLK_LOCAL_MEM_FENCE);
  if (item >= WEIGHT_N / 4) return;
  for (int i = item + WEIGHT_N / 4; i < weight_threads; i += WEIGHT_N / 4) bias += local4(b + i * 4);
  store4(partial + (size_t)depth * Y_PIXEL - n + item * 4, bias);
}
#endif
