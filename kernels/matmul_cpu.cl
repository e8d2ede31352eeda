// Matrix products of dense layers on CPUs: float16 tiles held in registers, one work-item a
// work-group, no barriers.
//
// Forward and input gradient: a work-item owns up to ROW_BLOCK rows x 32 columns of the result. It
// copies a slice of the weight into a private panel (transposing it for the gradient), multiplies
// all its rows by it, and goes on to the next slice. See conv2d_cpu.cl on why arrays of
// accumulators are unrolled and always inlined.

#ifndef ROW_TILE
#error "built by ops/matmul.cpp with the shape of one layer"
#endif

#define INLINE inline __attribute__((always_inline))

enum {
  lanes = 16,
  vectors = 2,
  tile_columns = vectors * lanes,
  panel_depth = 256,  // 32 KiB of weights: the first-level cache
  slots = (ROW_BLOCK + ROW_TILE - 1) / ROW_TILE * ROW_TILE,
  // A tile of the weight's gradient.
  patch = IN < 14 ? IN : 14,
  patch_vectors = OUT % tile_columns == 0 ? 2 : 1,
};

// The first `count` elements, which may be none or more than 16, at p; zeros after them.
INLINE float16 load_part(__global const float* p, int count) {
  if (count >= lanes) return vload16(0, p);
  float part[lanes];
  for (int i = 0; i < lanes; ++i) part[i] = i < count ? p[i] : 0.0f;
  return vload16(0, part);
}

INLINE void store_part(float16 value, __global float* p, int count) {
  if (count >= lanes) {
    vstore16(value, 0, p);
    return;
  }
  float part[lanes];
  vstore16(value, 0, part);
  for (int i = 0; i < count; ++i) p[i] = part[i];
}

INLINE float16 zip_low(float16 a, float16 b) {
  return (float16)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, a.s4, b.s4, a.s5, b.s5, a.s6,
                   b.s6, a.s7, b.s7);
}

INLINE float16 zip_high(float16 a, float16 b) {
  return (float16)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, a.sc, b.sc, a.sd, b.sd, a.se,
                   b.se, a.sf, b.sf);
}

// Each step rotates the eight bits (row, column) of every element's position by one: four steps
// transpose.
INLINE void transpose(float16 rows[lanes]) {
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    float16 next[lanes];
#pragma unroll
    for (int i = 0; i < lanes / 2; ++i) {
      next[2 * i] = zip_low(rows[i], rows[i + lanes / 2]);
      next[2 * i + 1] = zip_high(rows[i], rows[i + lanes / 2]);
    }
#pragma unroll
    for (int i = 0; i < lanes; ++i) rows[i] = next[i];
  }
}

// sums[count][vectors] += a[count][depth] * panel[depth][vectors].
INLINE void multiply_tile(__global const float* a, int stride, const float16 (*panel)[vectors],
                          int depth, int count, float16 (*sums)[vectors]) {
  float16 sum[ROW_TILE][vectors];
#pragma unroll
  for (int p = 0; p < count; ++p) {
#pragma unroll
    for (int v = 0; v < vectors; ++v) sum[p][v] = sums[p][v];
  }
  for (int k = 0; k < depth; ++k) {
#pragma unroll
    for (int p = 0; p < count; ++p) {
#pragma unroll
      for (int v = 0; v < vectors; ++v) sum[p][v] += a[p * stride + k] * panel[k][v];
    }
  }
#pragma unroll
  for (int p = 0; p < count; ++p) {
#pragma unroll
    for (int v = 0; v < vectors; ++v) sums[p][v] = sum[p][v];
  }
}

// The row that tile slot `slot` holds: the last tile is moved back over its neighbour rather than
// cut, so that some rows are computed twice, in slots of their own.
INLINE int row_of(int slot, int rows) {
  if (rows < ROW_TILE) return slot;
  return min(slot / ROW_TILE * ROW_TILE, rows - ROW_TILE) + slot % ROW_TILE;
}

INLINE int slots_of(int rows) {
  return rows < ROW_TILE ? rows : (rows + ROW_TILE - 1) / ROW_TILE * ROW_TILE;
}

INLINE void multiply(__global const float* a, int stride, const float16 (*panel)[vectors],
                     int depth, int rows, float16 (*sums)[vectors]) {
  if (rows < ROW_TILE) {
    for (int row = 0; row < rows; ++row)
      multiply_tile(a + row * stride, stride, panel, depth, 1, sums + row);
    return;
  }
  for (int slot = 0; slot < slots_of(rows); slot += ROW_TILE) {
    multiply_tile(a + row_of(slot, rows) * stride, stride, panel, depth, ROW_TILE, sums + slot);
  }
}

// y = x * weight + bias, then max(0, .) when `relu`. Work-items: (block of rows, tile of columns).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void forward(
    __global const float* restrict x, __global const float* restrict weight,
    __global const float* restrict bias, __global float* restrict y, int all_rows, int relu) {
  const int first = get_global_id(0) * all_rows / get_global_size(0);
  const int rows = (get_global_id(0) + 1) * all_rows / get_global_size(0) - first;
  const int column = get_global_id(1) * tile_columns;
  float16 panel[panel_depth][vectors];
  float16 sums[slots][vectors];
  for (int slot = 0; slot < slots_of(rows); ++slot) {
    for (int v = 0; v < vectors; ++v) {
      sums[slot][v] = load_part(bias + column + v * lanes, OUT - column - v * lanes);
    }
  }
  for (int k0 = 0; k0 < IN; k0 += panel_depth) {
    const int depth = min((int)panel_depth, IN - k0);
    for (int k = 0; k < depth; ++k) {
      for (int v = 0; v < vectors; ++v) {
        panel[k][v] =
            load_part(weight + (k0 + k) * OUT + column + v * lanes, OUT - column - v * lanes);
      }
    }
    multiply(x + (size_t)first * IN + k0, IN, panel, depth, rows, sums);
  }
  for (int slot = 0; slot < slots_of(rows); ++slot) {
    __global float* target = y + (size_t)(first + row_of(slot, rows)) * OUT + column;
    for (int v = 0; v < vectors; ++v) {
      // A comparison that is false for NaN: it passes on and is found by the loss.
      float16 value = sums[slot][v];
      if (relu) value = select(value, (float16)(0.0f), value < 0.0f);
      store_part(value, target + v * lanes, OUT - column - v * lanes);
    }
  }
}

// panel[depth][vectors] = the transpose of weight[column ...][k0 ...]; columns beyond IN are zero.
INLINE void transpose_panel(__global const float* weight, int column, int k0, int depth,
                            float16 (*panel)[vectors]) {
  for (int v = 0; v < vectors; ++v) {
    for (int k = 0; k < depth; k += lanes) {
      float16 block[lanes];
#pragma unroll
      for (int i = 0; i < lanes; ++i) {
        const int row = column + v * lanes + i;
        block[i] = row < IN ? vload16(0, weight + row * OUT + k0 + k) : (float16)(0.0f);
      }
      transpose(block);
#pragma unroll
      for (int i = 0; i < lanes; ++i) panel[k + i][v] = block[i];
    }
  }
}

// dx = dy * weight^T, 0 where x <= 0 when `mask`. Work-items: (block of rows, tile of columns).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void input_gradient(
    __global const float* restrict dy, __global const float* restrict weight,
    __global const float* restrict x, __global float* restrict dx, int all_rows, int mask) {
  const int first = get_global_id(0) * all_rows / get_global_size(0);
  const int rows = (get_global_id(0) + 1) * all_rows / get_global_size(0) - first;
  const int column = get_global_id(1) * tile_columns;
  float16 panel[panel_depth][vectors];
  float16 sums[slots][vectors];
  for (int slot = 0; slot < slots_of(rows); ++slot) {
    for (int v = 0; v < vectors; ++v) sums[slot][v] = 0.0f;
  }
  for (int k0 = 0; k0 < OUT; k0 += panel_depth) {
    const int depth = min((int)panel_depth, OUT - k0);
    transpose_panel(weight, column, k0, depth, panel);
    multiply(dy + (size_t)first * OUT + k0, OUT, panel, depth, rows, sums);
  }
  for (int slot = 0; slot < slots_of(rows); ++slot) {
    const size_t target = (size_t)(first + row_of(slot, rows)) * IN + column;
    for (int v = 0; v < vectors; ++v) {
      const int count = IN - column - v * lanes;
      float16 value = sums[slot][v];
      if (mask)
        value = select(value, (float16)(0.0f), load_part(x + target + v * lanes, count) <= 0.0f);
      store_part(value, dx + target + v * lanes, count);
    }
  }
}

// dweight[patch][patch_vectors] = x^T * dy over all rows.
INLINE void outer_products(__global const float* x, __global const float* dy,
                           __global float* dweight, int rows) {
  float16 sum[patch][patch_vectors];
#pragma unroll
  for (int p = 0; p < patch; ++p) {
#pragma unroll
    for (int v = 0; v < patch_vectors; ++v) sum[p][v] = 0.0f;
  }
  for (int row = 0; row < rows; ++row, x += IN, dy += OUT) {
#pragma unroll
    for (int p = 0; p < patch; ++p) {
#pragma unroll
      for (int v = 0; v < patch_vectors; ++v) sum[p][v] += x[p] * vload16(v, dy);
    }
  }
#pragma unroll
  for (int p = 0; p < patch; ++p) {
#pragma unroll
    for (int v = 0; v < patch_vectors; ++v) vstore16(sum[p][v], v, dweight + p * OUT);
  }
}

// dweight = x^T * dy; the first work-item also sums dbias from exact_dy, which dy may be a rounded
// copy of. Work-items: blocks of the weight's rows.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void weight_gradient(
    __global const float* restrict x, __global const float* restrict dy,
    __global const float* restrict exact_dy, __global float* restrict dweight,
    __global float* restrict dbias, int rows) {
  const int first = get_global_id(0) * IN / get_global_size(0);
  const int last = (get_global_id(0) + 1) * IN / get_global_size(0);
  for (int i = first; i < last; i += patch) {
    const int begin = min(i, last - patch);
    for (int column = 0; column < OUT; column += patch_vectors * lanes) {
      outer_products(x + begin, dy + column, dweight + begin * OUT + column, rows);
    }
  }
  for (int v = 0; first == 0 && v < OUT / lanes; ++v) {
    float16 sum = 0.0f;
    for (int row = 0; row < rows; ++row) sum += vload16(v, exact_dy + (size_t)row * OUT);
    vstore16(sum, v, dbias);
  }
}
