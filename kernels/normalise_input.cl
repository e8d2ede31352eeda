// The network's input: uint8 images [samples, channels, height, width] to normalised float32 with
// channels innermost, perhaps picked from a data set and augmented on the way.
//
// Built with CHANNELS; with GATHER, image n of the batch is number samples[first + n]; with AUGMENT (CROP,
// FLIP and ERASE, see ops/augmentation.hpp) images are shifted, mirrored and partly erased.
// Dimension 0 counts the `lines` of the batch, dimension 2 shares the columns of one.
#ifndef CHANNELS
#error "normalise_input.cl needs CHANNELS"
#endif

// A feature map, in pixels: (n, row, column) is pixel n * image + start + row * line + column, of
// CHANNELS floats.
typedef struct {
  int start, image, line, rows, columns, vectors;
} Map;

#ifdef GATHER
#define SAMPLES , global const int* restrict samples, uint first
#define SAMPLE(n) ((size_t)samples[first + n])
#else
#define SAMPLES
#define SAMPLE(n) (n)
#endif

#include "philox.clh"

#ifdef AUGMENT
#define DRAWS , ulong seed, ulong first_sample

// What becomes of an image: where pixel (0, 0) comes from, whether columns are mirrored, and the
// square that is erased.
typedef struct {
  int row, column, mirrored, erased_row, erased_column;
} Draw;

// Random words of the counter (sample, 0, 2^32 - 1).
Draw draw(ulong sample, ulong seed, int rows, int columns) {
  uint counter0 = sample, counter1 = sample >> 32, counter2 = 0, counter3 = 0xFFFFFFFFu;
  uint key0 = seed, key1 = seed >> 32;
  PHILOX(counter0, counter1, counter2, counter3, key0, key1)
  Draw result;
  result.row = (int)mul_hi(counter0, (uint)(2 * CROP + 1)) - CROP;
  result.column = (int)mul_hi(counter1, (uint)(2 * CROP + 1)) - CROP;
  result.mirrored = FLIP && (counter2 >> 31);
  result.erased_row = (int)((counter3 >> 16) * rows >> 16) - ERASE / 2;
  result.erased_column = (int)((counter3 & 0xFFFFu) * columns >> 16) - ERASE / 2;
  return result;
}
#else
#define DRAWS
#endif

// Walks the group's line: VALUE is the input of channel c for `pixel`; erased pixels are 0, and what
// lies outside of the image is black.
#ifdef AUGMENT
#define WALK(VALUE)                                                                           \
  const Draw drawn = draw(first_sample + n, seed, map.rows, map.columns);                     \
  const int from_row = row + drawn.row;                                                       \
  const int row_erased = row >= drawn.erased_row && row < drawn.erased_row + ERASE;           \
  images += SAMPLE(n) * CHANNELS * plane + from_row * map.columns;                            \
  for (int column = get_local_id(2); column < map.columns; column += get_local_size(2)) {     \
    const int from = (drawn.mirrored ? map.columns - 1 - column : column) + drawn.column;     \
    const int inside = from_row >= 0 && from_row < map.rows && from >= 0 && from < map.columns; \
    const int erased = row_erased && column >= drawn.erased_column &&                         \
                       column < drawn.erased_column + ERASE;                                  \
    for (int c = 0; c < CHANNELS; ++c) {                                                      \
      const uchar pixel = inside ? images[c * plane + from] : 0;                              \
      y[column * CHANNELS + c] = erased ? 0.0f : (VALUE);                                     \
    }                                                                                         \
  }
#else
#define WALK(VALUE)                                                                       \
  images += SAMPLE(n) * CHANNELS * plane + row * map.columns;                             \
  for (int column = get_local_id(2); column < map.columns; column += get_local_size(2)) { \
    for (int c = 0; c < CHANNELS; ++c) {                                                  \
      const uchar pixel = images[c * plane + column];                                     \
      y[column * CHANNELS + c] = (VALUE);                                                 \
    }                                                                                     \
  }
#endif

// y = table[c][x]: the input rounded to int8.
kernel void look_up_images(global const uchar* restrict images SAMPLES, global float* restrict y,
                           global const float* table, constant Map* of, int lines DRAWS) {
  const Map map = *of;
  const int line = get_global_id(0);
  if (line >= lines) return;
  const size_t n = line / map.rows;
  const int row = line % map.rows;
  const int plane = map.rows * map.columns;
  y += (n * map.image + map.start + row * map.line) * CHANNELS;
  WALK(table[c * 256 + pixel])
}

// y = x * scale[c] + shift[c].
kernel void normalise_images(global const uchar* restrict images SAMPLES, global float* restrict y,
                             constant float* scale, constant float* shift,
                             constant Map* of, int lines DRAWS) {
  const Map map = *of;
  const int line = get_global_id(0);
  if (line >= lines) return;
  const size_t n = line / map.rows;
  const int row = line % map.rows;
  const int plane = map.rows * map.columns;
  y += (n * map.image + map.start + row * map.line) * CHANNELS;
  WALK(fma(convert_float(pixel), scale[c], shift[c]))
}
