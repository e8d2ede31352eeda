// The layers of an integer network in every format wXaY: quantisation of the input, convolution,
// dense layer and max-pool, bit for bit as numeric/requantise.hpp and numeric/engine_layout.hpp
// define them.
//
// Built with LANES = 16, channels in a vector. Maps are [batch][row][column][vector] of values, not
// codes: a 1-bit activation is -1 or +1. Weights are [output][row][column][vector]; lanes and
// outputs beyond the layer's own hold 0, so that neither -1 nor padding adds to a sum. Parameters
// are [output][fields] of int32: bias, multiplier and shift of 8 bits and of raw accumulators, else
// a complement (0, or the number of thresholds) and the thresholds.
#if !defined(LANES) || LANES != 16
#error "integer.cl needs LANES=16"
#endif

#define TILE 4  // outputs a work-item: each vector of the input is loaded and widened once

#define RAW_BITS 32

// sums[t] += x[v] * w[t * stride + v], lane by lane. A product of two int8 fits int16.
void add_run(int16* sums, global const char16* x, global const char16* w, int vectors, int stride) {
  for (int v = 0; v < vectors; ++v) {
    const short16 lanes = convert_short16(x[v]);
    for (int t = 0; t < TILE; ++t)
      sums[t] += convert_int16(lanes * convert_short16(w[t * stride + v]));
  }
}

int total(int16 lanes) {
  const int8 a = lanes.lo + lanes.hi;
  const int4 b = a.lo + a.hi;
  const int2 c = b.lo + b.hi;
  return c.x + c.y;
}

// The activation of one accumulator, clamped to `low` from below where it has 8 bits.
int activate(int sum, global const int* parameters, int bits, int low) {
  if (bits == RAW_BITS) return sum + parameters[0];
  if (bits == 8) {
    const long product = (long)(sum + parameters[0]) * parameters[1];
    const long scaled = ((product >> (parameters[2] - 1)) + 1) >> 1;
    return (int)clamp(scaled, (long)low, (long)127);
  }
  const int levels = (1 << bits) - 1;
  int reached = 0;
  for (int t = 1; t <= levels; ++t) reached += sum >= parameters[t] ? 1 : 0;
  const int code = parameters[0] != 0 ? levels - reached : reached;
  return bits == 1 ? 2 * code - 1 : code;
}

// The outputs of one tile from their sums; those beyond `outputs` are 0.
int4 activate_tile(const int16* sums, global const int* parameters, int first, int outputs,
                   int bits, int low) {
  const int fields = bits >= 8 ? 3 : 1 << bits;
  int values[TILE];
  for (int t = 0; t < TILE; ++t) {
    values[t] = first + t < outputs
                    ? activate(total(sums[t]), parameters + (first + t) * fields, bits, low)
                    : 0;
  }
  return (int4)(values[0], values[1], values[2], values[3]);
}

// x [batch][channels][pixels] of uint8 through tables [channels][256]. Work-items: batch * pixels.
kernel void quantise_input(global const uchar* restrict x, global const char* restrict tables,
                           global char16* restrict y, int count, int channels, int pixels) {
  const int i = get_global_id(0);
  if (i >= count) return;
  const int image = i / pixels;
  const int pixel = i % pixels;
  const int vectors = (channels + LANES - 1) / LANES;
  for (int v = 0; v < vectors; ++v) {
    char lanes[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
      const int channel = v * LANES + lane;
      lanes[lane] = channel < channels
                        ? tables[channel * 256 + x[(image * channels + channel) * pixels + pixel]]
                        : 0;
    }
    y[i * vectors + v] = vload16(0, lanes);
  }
}

// Work-items: tiles of outputs x positions of all images. Taps outside the map count as 0.
kernel void conv2d(global const char16* restrict x, global const char16* restrict weights,
                   global const int* restrict parameters, global char4* restrict y, int in_height,
                   int in_width, int in_vectors, int out_height, int out_width, int out_vectors,
                   int count, int outputs, int size, int stride, int padding, int bits, int low) {
  const int tile = get_global_id(0);
  const int position = get_global_id(1);
  if (position >= count) return;
  const int positions = out_height * out_width;
  const int image = position / positions;
  const int top = position % positions / out_width * stride - padding;
  const int left = position % out_width * stride - padding;
  const int first_row = max(0, -top);
  const int last_row = min(size, in_height - top);
  const int first_column = max(0, -left);
  const int columns = min(size, in_width - left) - first_column;
  const int window = size * size * in_vectors;  // vectors from one output's weights to the next
  x += (size_t)image * in_height * in_width * in_vectors;
  weights += tile * TILE * window + first_column * in_vectors;

  int16 sums[TILE];
  for (int t = 0; t < TILE; ++t) sums[t] = 0;
  for (int row = first_row; row < last_row; ++row) {
    add_run(sums, x + ((top + row) * in_width + left + first_column) * in_vectors,
            weights + row * size * in_vectors, columns * in_vectors, window);
  }
  y[(size_t)position * out_vectors * (LANES / TILE) + tile] =
      convert_char4(activate_tile(sums, parameters, tile * TILE, outputs, bits, low));
}

// A map is one vector. Work-items: tiles of outputs x images.
int4 dense_tile(global const char16* x, global const char16* weights, global const int* parameters,
                int vectors, int outputs, int bits, int low) {
  const int tile = get_global_id(0);
  int16 sums[TILE];
  for (int t = 0; t < TILE; ++t) sums[t] = 0;
  add_run(sums, x + (size_t)get_global_id(1) * vectors, weights + (size_t)tile * TILE * vectors,
          vectors, vectors);
  return activate_tile(sums, parameters, tile * TILE, outputs, bits, low);
}

kernel void dense(global const char16* restrict x, global const char16* restrict weights,
                  global const int* restrict parameters, global char4* restrict y, int vectors,
                  int out_vectors, int count, int outputs, int bits, int low) {
  if ((int)get_global_id(1) >= count) return;
  y[get_global_id(1) * out_vectors * (LANES / TILE) + get_global_id(0)] =
      convert_char4(dense_tile(x, weights, parameters, vectors, outputs, bits, low));
}

// y [batch][out_vectors][LANES] of int32.
kernel void dense_raw(global const char16* restrict x, global const char16* restrict weights,
                      global const int* restrict parameters, global int4* restrict y, int vectors,
                      int out_vectors, int count, int outputs) {
  if ((int)get_global_id(1) >= count) return;
  y[get_global_id(1) * out_vectors * (LANES / TILE) + get_global_id(0)] =
      dense_tile(x, weights, parameters, vectors, outputs, RAW_BITS, 0);
}

// Windows without padding. Work-items: vectors of channels x positions of all images.
kernel void max_pool(global const char16* restrict x, global char16* restrict y, int in_height,
                     int in_width, int vectors, int out_height, int out_width, int count, int size,
                     int stride) {
  const int vector = get_global_id(0);
  const int position = get_global_id(1);
  if (position >= count) return;
  const int positions = out_height * out_width;
  const int top = position % positions / out_width * stride;
  const int left = position % out_width * stride;
  x += ((size_t)(position / positions) * in_height * in_width + top * in_width + left) * vectors +
       vector;
  char16 most = (char16)(-128);
  for (int row = 0; row < size; ++row) {
    for (int column = 0; column < size; ++column)
      most = max(most, x[(row * in_width + column) * vectors]);
  }
  y[(size_t)position * vectors + vector] = most;
}
