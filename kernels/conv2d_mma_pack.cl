// Packs a convolution's weights for conv2d_mma.cl, or conv2d_wgmma.cl where a product is by warpgroup: channels of the
// source innermost, prepared for the tensor cores. 16-bit operands of the latter take 16 bits.
#ifndef WEIGHT_CHANNELS
#error "built by ops/conv2d_mma.cpp with the geometry of one layer"
#endif
#include "mma.clh"

enum { side = 16, line = side + 1, taps = KERNEL * KERNEL };

#if FORMAT == TF32
INLINE void keep(__global float* packed, int at, float value, int by_warpgroup) {
  packed[at] = value;
}
#else
INLINE void keep(__global float* packed, int at, float value, int by_warpgroup) {
  if (by_warpgroup)
    ((__global ushort*)packed)[at] = (ushort)round_pair(value, 0.0f);
  else
    packed[at] = value;
}
#endif

// forward[tap][WEIGHT_PIXEL][X_PIXEL] and turned[tap turned][X_PIXEL][WEIGHT_PIXEL] from
// weight[tap][WEIGHT_CHANNELS][WEIGHT_PIXEL]; zeros beside it. Work-groups: (16 outputs, 16 inputs, tap).
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
  keep(turned, ((taps - 1 - tap) * X_PIXEL + in0 + row) * WEIGHT_PIXEL + out0 + column, value, TURNED_BY_WARPGROUP);
  tile[row * line + column] = value;
  barrier(CLK_LOCAL_MEM_FENCE);
  keep(forward, (tap * WEIGHT_PIXEL + out0 + row) * X_PIXEL + in0 + column, tile[column * line + row],
       FORWARD_BY_WARPGROUP);
}
