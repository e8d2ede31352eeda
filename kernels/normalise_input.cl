// The network's input: uint8 images [samples, channels, height, width] to normalised float32 with
// channels innermost, perhaps picked from a data set and augmented on the way.
//
// Built with CHANNELS; with GATHER, image n of the batch is number samples[first + n]; with AUGMENT (CROP,
// FLIP and ERASE, see ops/augmentation.hpp) images are shifted, mirrored and partly erased.
// Dimension 0 counts the `lines` of the batch, dimension 2 shares the columns of one.
#ifndef CHANNELS
#error "normalise_input.cl needs CHANNELS"
#endif

#include "augment.clh"
#include "map.clh"  // a vector is a pixel here

#ifdef GATHER
#define SAMPLES , global const int* restrict samples, uint first
#define SAMPLE(n) ((size_t)samples[first + n])
#else
#define SAMPLES
#define SAMPLE(n) (n)
#endif

#ifdef AUGMENT
#define DRAWS , ulong seed, ulong first_sample
#else
#define DRAWS
#endif

// Walks the group's line: VALUE is the input of channel c for `pixel`; erased pixels are 0, and what
// lies outside of the image is black.
#ifdef AUGMENT
#define WALK(VALUE)                                                                           \
  const Draw drawn = draw(first_sample + n, seed, CROP, FLIP, ERASE, map.rows, map.columns);  \
  images += SAMPLE(n) * CHANNELS * plane;                                                     \
  for (int column = get_local_id(2); column < map.columns; column += get_local_size(2)) {     \
    const int from = source_of(drawn, row, column, map.rows, map.columns);                    \
    const int erased = is_erased(drawn, row, column, ERASE);                                  \
    for (int c = 0; c < CHANNELS; ++c) {                                                      \
      const uchar pixel = from < 0 ? 0 : images[c * plane + from];                            \
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
  y += start_of_line(map, line) * CHANNELS;
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
  y += start_of_line(map, line) * CHANNELS;
  WALK(fma(convert_float(pixel), scale[c], shift[c]))
}
