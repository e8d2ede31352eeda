// Brings operands of products into the form of matmul_async.cl and matmul_mma.cl: the depth outermost, rows of 16-byte
// multiples.

enum {
  edge = 64,  // of a tile that is turned
  threads = 256,
};

// target[columns][pitch] = the transpose of source[rows][columns]. Work-groups: (64 columns, 64
// rows).
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void turn(
    __global const float* restrict source, __global float* restrict target, int rows, int columns,
    int pitch) {
  __local float turned[edge][edge + 1];
  const int lane = get_local_id(0) % edge;
  const int line = get_local_id(0) / edge;
  const int row0 = get_group_id(1) * edge;
  const int column0 = get_group_id(0) * edge;
#pragma unroll
  for (int i = 0; i < edge; i += threads / edge) {
    if (row0 + i + line < rows && column0 + lane < columns)
      turned[lane][i + line] = source[(size_t)(row0 + i + line) * columns + column0 + lane];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
  for (int i = 0; i < edge; i += threads / edge) {
    if (column0 + i + line < columns && row0 + lane < rows)
      target[(size_t)(column0 + i + line) * pitch + row0 + lane] = turned[i + line][lane];
  }
}

// target[rows][pitch] = source[rows][columns]. Work-groups: (256 columns, row).
__kernel __attribute__((reqd_work_group_size(threads, 1, 1))) void align(
    __global const float* restrict source, __global float* restrict target, int columns,
    int pitch) {
  const int column = get_global_id(0);
  if (column < columns)
    target[get_group_id(1) * (size_t)pitch + column] =
        source[get_group_id(1) * (size_t)columns + column];
}
