// Dense layers one behind the other: forward, softmax cross-entropy and backward for ROWS samples a work-group, on
// NVIDIA's tensor cores by warp. The rows of a batch do not meet before the gradients of the weights
// (dense_chain_weight.cl), so one launch goes all the way.
//
// The samples' values stay in shared memory from the input to the loss, rounded to the format; each gradient takes the
// place of the output that masks it. A warp makes 16 rows x 32 columns at a time; its weights come straight from the
// second-level cache, `ahead` slices of 16 products early. Lane (row r, quarter q) takes the products 4 q ... 4 q + 3
// of a slice and columns 4 r ... 4 r + 3, one for each of four tiles of eight: so it reads 16 bytes at a time and gets
// eight neighbouring results. The order of the products within a sum is another one, the same for both operands.
//
// FIRST is 1 where the first layer's products come from dense_chain_first.cl; its input is then not here.
#ifndef ROWS
#error "built by ops/dense_chain.cpp"
#endif
#include "mma.clh"
#include "dense_chain.clh"
#include "dense_chain_images.clh"
#include "images.clh"

enum {
  warps = ROWS / 2,
  threads = 32 * warps,
  row_tiles = ROWS / 16,
  block = 32,  // columns
  slice = 16,
  ahead = 4,
};

// Where the input comes from, as ops/dense_chain.cpp says it.
enum { FROM_FLOATS, FROM_IMAGES };
enum { parts_ahead = 8 };

// Floats from one row in shared memory to the next: eight lanes that read 16 bytes each meet all banks once.
INLINE int pitch_of(int width) {
  return width + (width % 32 == 0 ? 16 : 0);
}
INLINE uint tile_bytes(int width) {
  return ROWS * pitch_of(width) * 4;
}

// words[i] = four floats of row i from `source` on.
INLINE void fetch(__global const float* source, int pitch, float words[4][4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) read_early(source + i * pitch, words[i]);
}

// sum += a slice of 16 rows at `left` times words: [product][tile], or turned [tile][product].
INLINE void multiply(uint left, uint line, const float words[4][4], int turned, float sum[4][4]) {
  float upper[4], lower[4];
  read_four(left, upper);
  read_four(left + 8 * line, lower);
#pragma unroll
  for (int k = 0; k < 4; k += 2) {
    const Words above = words_of(upper[k], upper[k + 1]), below = words_of(lower[k], lower[k + 1]);
#pragma unroll
    for (int tile = 0; tile < 4; ++tile) {
      const float first = turned ? words[tile][k] : words[k][tile];
      const float second = turned ? words[tile][k + 1] : words[k + 1][tile];
      mma(sum[tile], above, below, words_of(prepare(first), prepare(second)));
    }
  }
}

// sum = 16 rows of `depth` floats at `left`, `line` bytes apart, times 32 columns; `weight` is where this lane's words
// of the first slice are, those of the next lie `step` floats behind.
INLINE void product(uint left, uint line, int depth, __global const float* weight, int pitch, int step, int turned,
                    float sum[4][4]) {
  const int slices = depth / slice;
  float ring[ahead][4][4];
#pragma unroll
  for (int i = 0; i < 16; ++i) sum[i / 4][i % 4] = 0.0f;
#pragma unroll
  for (int i = 0; i < ahead; ++i) fetch(weight + min(i, slices - 1) * step, pitch, ring[i]);
  int first = 0;
  for (; first + ahead <= slices; first += ahead) {
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      multiply(left + (first + i) * slice * 4, line, ring[i], turned, sum);
      fetch(weight + min(first + i + ahead, slices - 1) * step, pitch, ring[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < ahead - 1; ++i) {
    if (first + i < slices) multiply(left + (first + i) * slice * 4, line, ring[i], turned, sum);
  }
}

// Four neighbours of a lane's eight results in its upper or lower row.
INLINE void take(const float sum[4][4], int lower, int second, float values[4]) {
#pragma unroll
  for (int tile = 0; tile < 4; ++tile) values[tile] = sum[tile][2 * lower + second];
}

INLINE void store_prepared(uint target, const float values[4]) {
  float prepared[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) prepared[i] = prepare(values[i]);
  store_vector(target, prepared);
}

// The input's rows; those past the batch are zeros.
INLINE void load_input(uint tile, __global const float* x, int width, int first_row, int batch) {
  const int vectors = width / 4;
  const uint line = pitch_of(width) * 4;
  for (int i = get_local_id(0); i < ROWS * vectors; i += threads) {
    const int row = i / vectors, at = i % vectors;
    copy_vector(tile + row * line + at * 16, x + (size_t)(first_row + row) * width + at * 4,
                first_row + row < batch ? 16 : 0);
  }
  copies_commit();
  copies_wait(0);
  for (int i = get_local_id(0); i < ROWS * vectors; i += threads) {
    float values[4];
    prepare_vector(tile + i / vectors * line + i % vectors * 16, values);
  }
}

// The same from images, and x, which is written for the gradients of the weights. A row is half a warp's, which draws
// once.
INLINE void load_images(uint tile, const Images images, __global float* x, int width, int first_row, int batch) {
  const int row = get_local_id(0) / 16, n = first_row + row;
  const uint target = tile + row * pitch_of(width) * 4;
  const Image image = image_of(images, min(n, batch - 1));
#pragma unroll 4
  for (int at = get_local_id(0) % 16 * 4; at < width; at += 16 * 4) {
    float values[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (n < batch) {
      read_values(images, image, at, values);
      store_global(x + (size_t)n * width + at, values);
    }
    store_prepared(target + at * 4, values);
  }
}

// The first layer's output: the sum of its products' parts [count][batch][out], one after the other, plus bias,
// rectified.
INLINE void add_parts(const Layer layer, uint tile, __global const float* parts, int count,
                      __global const float* parameters, __global float* maps, int first_row, int batch) {
  const int vectors = layer.out / 4;
  const uint line = pitch_of(layer.out) * 4;
  const size_t step = (size_t)batch * layer.out;
  for (int i = get_local_id(0); i < ROWS * vectors; i += threads) {
    const int row = first_row + i / vectors, at = i % vectors * 4;
    float values[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (row < batch) {
      __global const float* part = parts + (size_t)row * layer.out + at;
      for (int first = 0; first < count; first += parts_ahead) {
        float ring[parts_ahead][4];
#pragma unroll
        for (int j = 0; j < parts_ahead; ++j) read_early(part + min(first + j, count - 1) * step, ring[j]);
#pragma unroll
        for (int j = 0; j < parts_ahead; ++j) {
#pragma unroll
          for (int k = 0; k < 4; ++k) values[k] += first + j < count ? ring[j][k] : 0.0f;
        }
      }
      float bias[4];
      read_global(parameters + layer.bias + at, bias);
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        values[k] += bias[k];
        values[k] = values[k] < 0.0f ? 0.0f : values[k];
      }
      store_global(maps + layer.output + (size_t)row * layer.out + at, values);
    }
    store_prepared(tile + i / vectors * line + at * 4, values);
  }
}

// This lane's sixteen results, eight columns of row `row` and of the eighth row below it: to `output` and, rectified,
// to the maps; those of the last layer to `output` alone.
INLINE void store_outputs(const Layer layer, const float sum[4][4], uint output, __global const float* parameters,
                          __global float* maps, int is_last, int first_row, int batch, int row, int column) {
  const uint line = pitch_of(layer.out) * 4;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int at_row = row + i / 2 * 8, at = column + i % 2 * 4;
    float values[4], bias[4];
    take(sum, i / 2, i % 2, values);
    read_global(parameters + layer.bias + at, bias);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      values[j] += bias[j];
      // A comparison that is false for NaN: it passes on and is found by the loss.
      if (!is_last) values[j] = values[j] < 0.0f ? 0.0f : values[j];
    }
    const uint target = output + at_row * line + at * 4;
    if (is_last) {
      store_vector(target, values);
      continue;
    }
    store_prepared(target, values);
    if (first_row + at_row < batch)
      store_global(maps + layer.output + (size_t)(first_row + at_row) * layer.out + at, values);
  }
}

// output = input times weight plus bias, rectified but for the last layer, whose logits are not rounded nor stored.
INLINE void forward(const Layer layer, uint input, uint output, __global const float* parameters,
                    __global float* maps, int is_last, int first_row, int batch) {
  const uint line = pitch_of(layer.in) * 4;
  const int blocks = (layer.out + block - 1) / block;
  const int row = warp_row(), part = quarter();
  for (int unit = get_local_id(0) / 32; unit < blocks * row_tiles; unit += warps) {
    const int column0 = unit % blocks * block, row0 = unit / blocks * 16;
    float sum[4][4];
    // Columns past the last one are the last four again, and not stored.
    product(input + (row0 + row) * line + part * 16, line, layer.in,
            parameters + layer.weight + 4 * part * layer.out + min(column0 + 4 * row, layer.out - 4), layer.out,
            slice * layer.out, 0, sum);
    const int column = column0 + 8 * part;
    if (column < layer.out)
      store_outputs(layer, sum, output, parameters, maps, is_last, first_row, batch, row0 + row, column);
    warp_meet();  // whose lanes the next products take together
  }
}

// This lane's sixteen gradients, where the input at their place in `masked` is above 0: there, and to the maps.
INLINE void store_gradients(const Layer layer, const Layer before, const float sum[4][4], uint masked,
                            __global float* maps, int first_row, int batch, int row, int column) {
  const uint line = pitch_of(layer.in) * 4;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int at_row = row + i / 2 * 8, at = column + i % 2 * 4;
    const uint target = masked + at_row * line + at * 4;
    float values[4], mask[4];
    take(sum, i / 2, i % 2, values);
    read_four(target, mask);
#pragma unroll
    for (int j = 0; j < 4; ++j) values[j] = mask[j] <= 0.0f ? 0.0f : values[j];
    store_prepared(target, values);
    if (first_row + at_row < batch)
      store_global(maps + before.gradient + (size_t)(first_row + at_row) * layer.in + at, values);
  }
}

// masked = gradient times the transposed weight where `masked`, the layer's input, is above 0.
INLINE void backward(const Layer layer, const Layer before, uint gradient, uint masked,
                     __global const float* parameters, __global float* maps, int first_row, int batch) {
  const uint line = pitch_of(layer.out) * 4;
  const int blocks = (layer.in + block - 1) / block;
  const int row = warp_row(), part = quarter();
  for (int unit = get_local_id(0) / 32; unit < blocks * row_tiles; unit += warps) {
    const int column0 = unit % blocks * block, row0 = unit / blocks * 16;
    float sum[4][4];
    product(gradient + (row0 + row) * line + part * 16, line, layer.out,
            parameters + layer.weight + min(column0 + 4 * row, layer.in - 4) * layer.out + 4 * part, layer.out, slice,
            1, sum);
    const int column = column0 + 8 * part;
    if (column < layer.in)
      store_gradients(layer, before, sum, masked, maps, first_row, batch, row0 + row, column);
    warp_meet();
  }
}

// As softmax_cross_entropy of loss.cl, a work-item a row: the logits of shared memory become their gradient.
INLINE void loss(const Layer layer, uint tile, __global const int* labels, __global const float* row_weights,
                 int weighed, __global float* maps, __global float* row_losses, __global float* row_hits, int first_row,
                 int batch) {
  if (get_local_id(0) >= ROWS) return;
  const int row = first_row + get_local_id(0);
  __local float* logits = shared_floats(tile + get_local_id(0) * pitch_of(layer.out) * 4);
  if (row >= batch) {
    for (int i = 0; i < layer.out; ++i) logits[i] = 0.0f;
    return;
  }
  float largest = -INFINITY;
  for (int i = 0; i < CLASSES; ++i) largest = fmax(largest, logits[i]);
  float sum = 0.0f;
  int prediction = CLASSES;
  const int label = labels[row];
  const int is_known = label >= 0 && label < CLASSES;
  const float chosen = is_known ? logits[label] : NAN;
  for (int i = CLASSES - 1; i >= 0; --i) {
    const float logit = logits[i], power = exp(logit - largest);
    if (logit == largest) prediction = i;
    logits[i] = power;
    sum += power;
  }
  const float weight = weighed ? row_weights[row] : 1.0f;
  __global float* gradients = maps + layer.gradient + (size_t)row * layer.out;
  for (int i = 0; i < layer.out; ++i) {
    const float gradient = i < CLASSES ? weight * (logits[i] / sum - (i == label ? 1.0f : 0.0f)) : 0.0f;
    gradients[i] = gradient;
    logits[i] = prepare(gradient);
  }
  row_losses[row] = log(sum) - (chosen - largest);
  row_hits[row] = is_known && prediction == label ? 1.0f : 0.0f;
}

// x [batch][in of the first layer], written from images where `source` is FROM_IMAGES; with FIRST instead `source`
// parts of the first layer's products; row_losses and row_hits [batch]; the labels from number first_label on;
// row_weights [batch] where `weighed`. Work-groups: ROWS samples.
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void rows(
    IMAGE_PARAMETERS, __global float* restrict x, int source, __global const float* restrict parameters,
    __constant const int* table, __global const int* restrict labels, uint first_label,
    __global const float* restrict row_weights, int weighed,
    __global float* restrict maps, __global float* restrict row_losses, __global float* restrict row_hits, int batch) {
  __constant const Layer* layers = (__constant const Layer*)table;
  const int first_row = (int)get_group_id(0) * ROWS;
  uint tile = allocate_shared();
#if FIRST
  add_parts(layers[0], tile, x, source, parameters, maps, first_row, batch);
#else
  if (source == FROM_FLOATS) {
    load_input(tile, x, layers[0].in, first_row, batch);
  } else {
    const Images images = IMAGE_VALUES;
    load_images(tile, images, x, layers[0].in, first_row, batch);
  }
#endif
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int i = FIRST; i < LAYERS; ++i) {
    const uint output = tile + tile_bytes(layers[i].in);
    forward(layers[i], tile, output, parameters, maps, i == LAYERS - 1, first_row, batch);
    barrier(CLK_LOCAL_MEM_FENCE);
    tile = output;
  }
  loss(layers[LAYERS - 1], tile, labels + first_label, row_weights, weighed, maps, row_losses, row_hits, first_row,
       batch);
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int i = LAYERS - 1; i > 0; --i) {
    const uint masked = tile - tile_bytes(layers[i].in);
    backward(layers[i], layers[i - 1], tile, masked, parameters, maps, first_row, batch);
    barrier(CLK_LOCAL_MEM_FENCE);
    tile = masked;
  }
}
