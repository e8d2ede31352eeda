// ReLU and dropout, element by element over the interior of a feature map.
//
// Built with LANES, the channels in a ReLU's vector. One work-group a line; its work-items share the line's vectors.
#ifndef LANES
#error "activation.cl needs LANES"
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
typedef JOIN(float, LANES) floats;

// A feature map, in vectors: pixel (n, row, column) begins at n * image + start + row * line + column * vectors.
typedef struct {
  int start, image, line, rows, columns, vectors;
} Map;

size_t my_line(Map map) {
  return get_group_id(0) / map.rows * (size_t)map.image + map.start + get_group_id(0) % map.rows * map.line;
}

#define FOR_MY_VECTORS(map)                                                                             \
  for (int i = get_local_id(2) * get_local_size(1) + get_local_id(1); i < (map).columns * (map).vectors; \
       i += get_local_size(2) * get_local_size(1))

// A NaN stays a NaN.
kernel void relu_forward(global const floats* x, global floats* y, constant Map* of) {
  const Map map = *of;
  const size_t line = my_line(map);
  FOR_MY_VECTORS(map) {
    const floats value = x[line + i];
    y[line + i] = select(value, (floats)(0), value < 0);
  }
}

kernel void relu_backward(global const floats* y, global const floats* dy, global floats* dx, constant Map* of) {
  const Map map = *of;
  const size_t line = my_line(map);
  FOR_MY_VECTORS(map) { dx[line + i] = select((floats)(0), dy[line + i], y[line + i] > 0); }
}

// Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
uint4 philox(uint4 counter, uint2 key) {
  for (int round = 0; round < 10; ++round) {
    const uint high0 = mul_hi(0xD2511F53u, counter.x);
    const uint high1 = mul_hi(0xCD9E8D57u, counter.z);
    counter = (uint4)(high1 ^ counter.y ^ key.x, 0xCD9E8D57u * counter.z, high0 ^ counter.w ^ key.y,
                      0xD2511F53u * counter.x);
    key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
  }
  return counter;
}

// y = x * scale where a random word >= threshold, else 0. `of` counts vectors of four channels, one Philox block each.
kernel void dropout(global const float4* x, global float4* y, constant Map* of, uint threshold, float scale, ulong seed,
                    ulong first_sample) {
  const Map map = *of;
  const size_t line = my_line(map);
  const ulong sample = first_sample + get_group_id(0) / map.rows;
  const uint first_block = get_group_id(0) % map.rows * map.columns * map.vectors;
  FOR_MY_VECTORS(map) {
    const uint4 words = philox((uint4)((uint)sample, (uint)(sample >> 32), first_block + i, 0),
                               (uint2)((uint)seed, (uint)(seed >> 32)));
    y[line + i] = select((float4)(0), x[line + i] * scale, words >= threshold);
  }
}
