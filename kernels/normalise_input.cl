// The network's input: uint8 images [batch, channels, height, width] to normalised float32 with
// channels innermost.
//
// Built with CHANNELS. One work-group a line.
#ifndef CHANNELS
#error "normalise_input.cl needs CHANNELS"
#endif

// A feature map, in pixels: (n, row, column) is pixel n * image + start + row * line + column, of
// CHANNELS floats.
typedef struct {
  int start, image, line, rows, columns, vectors;
} Map;

// y = table[c][x]: the input rounded to int8.
kernel void look_up_images(global const uchar* restrict images, global float* restrict y,
                           global const float* table, constant Map* of) {
  const Map map = *of;
  const size_t n = get_group_id(0) / map.rows;
  const int row = get_group_id(0) % map.rows;
  const int plane = map.rows * map.columns;
  images += n * CHANNELS * plane + row * map.columns;
  y += (n * map.image + map.start + row * map.line) * CHANNELS;
  for (int column = get_local_id(2); column < map.columns; column += get_local_size(2)) {
    for (int c = 0; c < CHANNELS; ++c) {
      y[column * CHANNELS + c] = table[c * 256 + images[c * plane + column]];
    }
  }
}

// y = x * scale[c] + shift[c].
kernel void normalise_images(global const uchar* restrict images, global float* restrict y,
                             constant float* scale, constant float* shift, constant Map* of) {
  const Map map = *of;
  const size_t n = get_group_id(0) / map.rows;
  const int row = get_group_id(0) % map.rows;
  const int plane = map.rows * map.columns;
  images += n * CHANNELS * plane + row * map.columns;
  y += (n * map.image + map.start + row * map.line) * CHANNELS;
  for (int column = get_local_id(2); column < map.columns; column += get_local_size(2)) {
    for (int c = 0; c < CHANNELS; ++c) {
      y[column * CHANNELS + c] = fma(convert_float(images[c * plane + column]), scale[c], shift[c]);
    }
  }
}
