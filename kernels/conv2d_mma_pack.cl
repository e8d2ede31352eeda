// Packs a convolution's weights for conv2d_mma.cl, or conv2d_wgmma.cl where a product is by warpgroup: channels of the
// source innermost, prepared for the tensor cores. 16-bit operands of the latter take 16 bits.
#ifndef WEIGHT_CHANNELS
#error "built by ops/conv2d_mma.cpp with the geometry of one layer"
#endif
#include "mma.clh"

enum { side = 16, line = side + 1, taps = KERNEL * KERNEL, slice = 16 };

#if FORWARD_COLUMNS || TURNED_COLUMNS
// Of a product by warpgroup, in tiles of `columns` channels of the target: where its steps have a weight, in values of
// the format. See conv2d_wgmma.cl.
INLINE int place_of(int tap, int target, int source, int sources, int columns) {
  const int column = target % columns, k = source % slice;
  const int step = source / slice * KERNEL + tap / KERNEL;
  const int row = ((target / columns * (sources / slice) * KERNEL + step) * KERNEL + tap % KERNEL) * columns + column;
#if FORMAT == TF32
  return row * slice + ((k / 4 ^ (column >> 1 & 3)) * 4 + k % 4);
#else
  return row * slice + ((k / 8 ^ (column >> 2 & 1)) * 8 + k % 8);
#endif
}
#endif

INLINE void keep(__global float* packed, float value, int tap, int target, int source, int targets, int sources,
                 int columns) {
#if FORWARD_COLUMNS || TURNED_COLUMNS
  if (columns > 0) {
    const int at = place_of(tap, target, source, sources, columns);
#if FORMAT == TF32
    packed[at] = value;
#else
    ((__global ushort*)packed)[at] = (ushort)round_pair(value, 0.0f);
#endif
    return;
  }
#endif
  packed[(tap * targets + target) * sources + source] = value;
}

// forward[tap][WEIGHT_PIXEL][X_PIXEL] and turned[tap turned][X_PIXEL][WEIGHT_PIXEL] from
// weight[tap][WEIGHT_CHANNELS][WEIGHT_PIXEL], zeros beside it; or as place_of has it. Work-groups: (16
// outputs, 16 inputs, tap).
__kernel __attribute__((reqd_work_group_size(side, side, 1))) void pack(
    __global const float* restrict weight, __global float* restrict forward,
    __global float* restrict turned) {
  __local float* tile = shared_floats(allocate_shared());
  const int tap = get_group_id(2);
  const int out0 = get_group_id(0) * side, in0 = get_group_id(1) * side;
  const int column = get_local_id(0), row = get_local_id(1);
  const float value =
      in0 + row < WEIGHT_CHANNELS
          ? prepare(weight[(tap * WEIGHT_CHANNELS + in0 + row) * WEIGHT_PIXEL + out0 + column])
          : 0.0f;
  keep(turned, value, taps - 1 - tap, in0 + row, out0 + column, X_PIXEL, WEIGHT_PIXEL, TURNED_COLUMNS);
  tile[row * line + column] = value;
  barrier(CLK_LOCAL_MEM_FENCE);
  keep(forward, tile[column * line + row], tap, out0 + row, in0 + column, WEIGHT_PIXEL, X_PIXEL, FORWARD_COLUMNS);
}
