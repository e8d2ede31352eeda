// 2-D convolution on GPUs: implicit matrix products, tiles shared in local memory, 4 x 4 results a
// work-item.
//
// The geometry of X and Y is defined by ops/conv2d.cpp as for conv2d_cpu.cl. Each of the three
// products C[m][n] = sum_k A[m][k] B[k][n] has its own tile (TILE_M x TILE_N results a work-group,
// both multiples of 4):
//   forward          m: pixel of y,       n: channel of y,  k: (tap, channel of x)
//   input gradient   m: pixel of x,       n: channel of x,  k: (tap, channel of y)
//   weight gradient  m: (tap, channel of x), n: channel of y,  k: pixel of y, in chunks of images

#ifndef FORWARD_M
#error "built by ops/conv2d.cpp with the geometry of one layer"
#endif

#include "passes.clh"

#define INLINE inline __attribute__((always_inline))

enum {
  slice = 16,  // k advances by this much between barriers
  taps = KERNEL * KERNEL,
  depth = taps * X_CHANNELS,  // rows of the weight matrix
  y_pixels = Y_HEIGHT * Y_WIDTH,
  x_pixels = X_HEIGHT * X_WIDTH,
  forward_threads = FORWARD_M * FORWARD_N / 16,
  input_threads = INPUT_M * INPUT_N / 16,
  weight_threads = WEIGHT_M * WEIGHT_N / 16,
};

// sum += A-slice * B-slice for this work-item's 4 x 4 results; a is [slice][tile_m], b is
// [slice][tile_n].
INLINE void multiply(__local const float* a, int tile_m, __local const float* b, int tile_n, int m,
                     int n, float4 sum[4]) {
#pragma unroll
  for (int k = 0; k < slice; ++k) {
    const float4 left = vload4(0, a + k * tile_m + m);
    const float4 right = vload4(0, b + k * tile_n + n);
    sum[0] += left.x * right;
    sum[1] += left.y * right;
    sum[2] += left.z * right;
    sum[3] += left.w * right;
  }
}

// Where the window of output pixel `pixel` (counted over the whole batch) begins in x.
INLINE size_t window_of(int pixel) {
  const int row = pixel % y_pixels / Y_WIDTH;
  const int column = pixel % Y_WIDTH;
  return (size_t)(pixel / y_pixels) * X_IMAGE + X_ORIGIN +
         (row * X_ROW + column * X_PIXEL) * STRIDE;
}

INLINE size_t y_of(int pixel) {
  const int row = pixel % y_pixels / Y_WIDTH;
  const int column = pixel % Y_WIDTH;
  return (size_t)(pixel / y_pixels) * Y_IMAGE + Y_INTERIOR + row * Y_ROW + column * Y_PIXEL;
}

// Where weight row k = (tap, channel of x) reads within a window.
INLINE int within_window(int k) {
  const int tap = k / X_CHANNELS;
  return tap / KERNEL * X_ROW + tap % KERNEL * X_PIXEL + k % X_CHANNELS;
}

// y = x * weight + bias, then max(0, .) when `relu`. Work-groups: (tile of pixels, tile of
// channels).
__kernel __attribute__((reqd_work_group_size(forward_threads, 1, 1))) void forward(
    __global const float* restrict x, __global const float* restrict weight,
    __global const float* restrict bias, __global float* restrict y, int batch, int relu) {
  __local float a[slice * FORWARD_M];
  __local float b[slice * FORWARD_N];
  const int item = get_local_id(0);
  const int m0 = get_group_id(0) * FORWARD_M;
  const int n0 = get_group_id(1) * FORWARD_N;
  const int m = item / (FORWARD_N / 4) * 4;
  const int n = item % (FORWARD_N / 4) * 4;
  const int last_pixel = batch * y_pixels - 1;
  float4 sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (int k0 = 0; k0 < depth; k0 += slice) {
    // Past the last pixel the last one is read again; past the last weight row both factors are
    // zero.
    if (X_CHANNELS % 4 == 0) {
      for (int i = item; i < FORWARD_M * slice / 4; i += forward_threads) {
        const int k = i % (slice / 4) * 4;
        const size_t window = window_of(min(m0 + i / (slice / 4), last_pixel));
        const float4 values =
            k0 + k < depth ? vload4(0, x + window + within_window(k0 + k)) : (float4)(0.0f);
        __local float* target = a + k * FORWARD_M + i / (slice / 4);
        target[0] = values.x;
        target[FORWARD_M] = values.y;
        target[2 * FORWARD_M] = values.z;
        target[3 * FORWARD_M] = values.w;
      }
    } else {
      for (int i = item; i < FORWARD_M * slice; i += forward_threads) {
        const int k = k0 + i % slice;
        const size_t window = window_of(min(m0 + i / slice, last_pixel));
        a[i % slice * FORWARD_M + i / slice] = k < depth ? x[window + within_window(k)] : 0.0f;
      }
    }
    for (int i = item; i < FORWARD_N * slice; i += forward_threads) {
      const int k = k0 + i / FORWARD_N;
      b[i] = k < depth ? weight[k * Y_PIXEL + n0 + i % FORWARD_N] : 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    multiply(a, FORWARD_M, b, FORWARD_N, m, n, sum);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  for (int i = 0; i < 4 && m0 + m + i <= last_pixel; ++i) {
    float4 value = sum[i] + vload4(0, bias + n0 + n);
    // A comparison that is false for NaN: it passes on and is found by the loss.
    if (relu) value = select(value, (float4)(0.0f), value < 0.0f);
    vstore4(value, 0, y + y_of(m0 + m + i) + n0 + n);
  }
}

// Four channels of dy at the output pixel that saw input pixel (image, row, column) through `tap`;
// else zeros.
INLINE float4 seen_through(__global const float* dy, int tap, size_t image, int row, int column,
                           int channel) {
  const int i = row + PADDING - tap / KERNEL;
  const int j = column + PADDING - tap % KERNEL;
  if (i < 0 || j < 0 || i % STRIDE || j % STRIDE || i / STRIDE >= Y_HEIGHT ||
      j / STRIDE >= Y_WIDTH) {
    return (float4)(0.0f);
  }
  return vload4(
      0, dy + image * Y_IMAGE + Y_INTERIOR + i / STRIDE * Y_ROW + j / STRIDE * Y_PIXEL + channel);
}

// dx, 0 where gate (the forward pass's input) is <= 0 when `mask`. Work-groups: (tile of pixels,
// tile of channels).
__kernel __attribute__((reqd_work_group_size(input_threads, 1, 1))) void input_gradient(
    __global const float* restrict dy, __global const float* restrict weight,
    __global const float* restrict gate, __global float* restrict dx, int batch, int mask) {
  __local float a[slice * INPUT_M];
  __local float b[slice * INPUT_N];
  const int item = get_local_id(0);
  const int m0 = get_group_id(0) * INPUT_M;
  const int n0 = get_group_id(1) * INPUT_N;
  const int m = item / (INPUT_N / 4) * 4;
  const int n = item % (INPUT_N / 4) * 4;
  const int last_pixel = batch * x_pixels - 1;
  float4 sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (int k0 = 0; k0 < taps * Y_PIXEL; k0 += slice) {
    // Y_PIXEL is a multiple of the slice: one tap each.
    const int tap = k0 / Y_PIXEL;
    const int channel = k0 % Y_PIXEL;
    for (int i = item; i < INPUT_M * slice / 4; i += input_threads) {
      const int k = i % (slice / 4) * 4;
      const int pixel = min(m0 + i / (slice / 4), last_pixel);
      const float4 values = seen_through(dy, tap, pixel / x_pixels, pixel % x_pixels / X_WIDTH,
                                         pixel % X_WIDTH, channel + k);
      __local float* target = a + k * INPUT_M + i / (slice / 4);
      target[0] = values.x;
      target[INPUT_M] = values.y;
      target[2 * INPUT_M] = values.z;
      target[3 * INPUT_M] = values.w;
    }
    for (int i = item; i < INPUT_N * slice; i += input_threads) {
      const int input_channel = n0 + i / slice;
      b[i % slice * INPUT_N + i / slice] =
          input_channel < X_CHANNELS
              ? weight[(tap * X_CHANNELS + input_channel) * Y_PIXEL + channel + i % slice]
              : 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    multiply(a, INPUT_M, b, INPUT_N, m, n, sum);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  for (int i = 0; i < 4 && m0 + m + i <= last_pixel; ++i) {
    const int pixel = m0 + m + i;
    const size_t target = (size_t)(pixel / x_pixels) * X_IMAGE + X_INTERIOR +
                          pixel % x_pixels / X_WIDTH * X_ROW + pixel % X_WIDTH * X_PIXEL + n0 + n;
    const float values[4] = {sum[i].x, sum[i].y, sum[i].z, sum[i].w};
    for (int j = 0; j < 4 && n0 + n + j < X_PIXEL; ++j) {
      dx[target + j] = mask && gate[target + j] <= 0.0f ? 0.0f : values[j];
    }
  }
}

// partial[pass][chunk][depth + 1][Y_PIXEL]: the gradients of the weight and, in the last row, of the
// bias, over one of the `chunks` of images of a pass of `batch`. With EXACT_BIAS dy is a rounded copy
// of exact_dy, and the bias's is summed from the latter. Work-groups: (tile of weight rows, tile of
// channels, pass and chunk).
__kernel __attribute__((reqd_work_group_size(weight_threads, 1, 1))) void weight_gradient(
    __global const float* restrict x, __global const float* restrict dy,
    __global const float* restrict exact_dy, __global float* restrict partial, int batch,
    int images_per_chunk, int chunks) {
  __local float a[slice * WEIGHT_M];
  __local float b[slice * WEIGHT_N];
  const int item = get_local_id(0);
  const int m0 = get_group_id(0) * WEIGHT_M;
  const int n0 = get_group_id(1) * WEIGHT_N;
  const int m = item / (WEIGHT_N / 4) * 4;
  const int n = item % (WEIGHT_N / 4) * 4;
  const int begin = (int)get_group_id(2) / chunks * batch;
  const int chunk = get_group_id(2) % chunks;
  const int first = (begin + chunk * images_per_chunk) * y_pixels;
  const int last = (begin + min(batch, (chunk + 1) * images_per_chunk)) * y_pixels;
  float4 sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  float4 bias_sum = 0.0f;
  for (int k0 = first; k0 < last; k0 += slice) {
    for (int i = item; i < WEIGHT_M * slice; i += weight_threads) {
      const int k = k0 + i / WEIGHT_M;
      const int row = m0 + i % WEIGHT_M;
      a[i] = k < last && row < depth ? x[window_of(k) + within_window(row)] : 0.0f;
    }
    for (int i = item; i < WEIGHT_N * slice; i += weight_threads) {
      const int k = k0 + i / WEIGHT_N;
      b[i] = k < last ? dy[y_of(k) + n0 + i % WEIGHT_N] : 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    multiply(a, WEIGHT_M, b, WEIGHT_N, m, n, sum);
#if EXACT_BIAS
    for (int k = k0; k < min(k0 + slice, last) && m == 0 && m0 == 0; ++k)
      bias_sum += vload4(0, exact_dy + y_of(k) + n0 + n);
#else
    for (int k = 0; k < slice && m == 0 && m0 == 0; ++k)
      bias_sum += vload4(0, b + k * WEIGHT_N + n);
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  partial += get_group_id(2) * (size_t)((depth + 1) * Y_PIXEL) + n0 + n;
  for (int i = 0; i < 4 && m0 + m + i < depth; ++i)
    vstore4(sum[i], 0, partial + (m0 + m + i) * Y_PIXEL);
  if (m == 0 && m0 == 0) vstore4(bias_sum, 0, partial + depth * Y_PIXEL);
}

// dweight[depth][Y_PIXEL] and dbias[Y_PIXEL]: the sum over each pass's chunks, in their order, and
// over the passes. Work-items: elements.
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void sum_chunks(
    __global const float* restrict partial, __global float* restrict dweight,
    __global float* restrict dbias, int chunks, int passes) {
  const int element = get_global_id(0);
  if (element >= (depth + 1) * Y_PIXEL) return;
  float kept[pass_levels];
  float sum = 0.0f;
  for (int pass = 0; pass < passes; ++pass) {
    sum = 0.0f;
    for (int chunk = 0; chunk < chunks; ++chunk) {
      sum += partial[(pass * chunks + chunk) * (size_t)((depth + 1) * Y_PIXEL) + element];
    }
    ADD_PASS(sum, pass, kept);
  }
  if (element < depth * Y_PIXEL) {
    dweight[element] = sum;
  } else {
    dbias[element - depth * Y_PIXEL] = sum;
  }
}
