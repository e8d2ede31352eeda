// Matrix products of dense layers on CPUs: float16 tiles held in registers, one work-item a
// work-group, no barriers.
//
// A work-item owns a block of the result: up to ROW_BLOCK rows, and some tiles of 32 columns. It
// takes the depth (what is summed over) in slices: copies its rows' slice into a private block, and
// for each tile of columns a slice of the other operand into a private panel (transposing it for
// the input gradient), which its rows are multiplied by, ROW_TILE at a time. Between slices the
// sums lie in the result. See conv2d_cpu.cl on why arrays of accumulators are unrolled and always
// inlined.

#ifndef ROW_TILE
#error "built by ops/matmul.cpp with the shape of one layer"
#endif
#if ROW_TILE != 8
#error "copy_columns stores eight rows at a time"
#endif

#include "inline.clh"
#include "passes.clh"

enum {
  lanes = 16,
  vectors = 2,
  tile_columns = vectors * lanes,
  panel_depth = PANEL_DEPTH,  // 32 KiB: the first-level cache
  // Rows at a distance of 1 KiB would meet in a few of that cache's sets and drive each other out.
  block_step = panel_depth + lanes,
  block_rows = (ROW_BLOCK + 2 * ROW_TILE - 1) / (2 * ROW_TILE) * (2 * ROW_TILE),
  few_tiles = 4,  // of columns: a copy of the rows for so few does not pay
  // Rows that copies ask for in advance: lines far apart are no stream to the hardware.
  ahead = 16,
};

// The first `count` elements, which may be none or more than 16, at p; zeros after them.
INLINE float16 load_part(__global const float* p, int count) {
  if (count >= lanes) return vload16(0, p);
  if (count <= 0) return 0.0f;
  float part[lanes];
  for (int i = 0; i < lanes; ++i) part[i] = i < count ? p[i] : 0.0f;
  return vload16(0, part);
}

INLINE void store_part(float16 value, __global float* p, int count) {
  if (count >= lanes) {
    vstore16(value, 0, p);
    return;
  }
  if (count <= 0) return;
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

typedef struct {
  __global const float* at;  // the tile's first element
  int stride;                // between its rows
  int rows, columns;         // of it that there are
} Tile;

// Asks for a line that will be needed soon.
INLINE void want(__global const float* at) {
#if defined(__x86_64__) || defined(__aarch64__)
  __builtin_prefetch((const void*)(size_t)at);
#endif
}

// The tile below this one, which will be read and written next.
INLINE void want_below(Tile tile) {
  if (tile.rows < 2 * ROW_TILE) return;
#pragma unroll
  for (int p = ROW_TILE; p < 2 * ROW_TILE; ++p)
#pragma unroll
    for (int v = 0; v < vectors; ++v) want(tile.at + p * tile.stride + v * lanes);
}

INLINE void clear(float16 sums[ROW_TILE][vectors]) {
#pragma unroll
  for (int p = 0; p < ROW_TILE; ++p)
#pragma unroll
    for (int v = 0; v < vectors; ++v) sums[p][v] = 0.0f;
}

INLINE void load_sums(float16 sums[ROW_TILE][vectors], Tile tile) {
#pragma unroll
  for (int p = 0; p < ROW_TILE; ++p) {
#pragma unroll
    for (int v = 0; v < vectors; ++v) {
      sums[p][v] = 0.0f;
      if (p < tile.rows)
        sums[p][v] = load_part(tile.at + p * tile.stride + v * lanes, tile.columns - v * lanes);
    }
  }
}

// sums = tile + sums.
INLINE void add_sums(float16 sums[ROW_TILE][vectors], Tile tile) {
  float16 more[ROW_TILE][vectors];
  load_sums(more, tile);
#pragma unroll
  for (int p = 0; p < ROW_TILE; ++p)
#pragma unroll
    for (int v = 0; v < vectors; ++v) sums[p][v] = more[p][v] + sums[p][v];
}

// Zeros, or what the slices before have left.
INLINE void begin_sums(float16 sums[ROW_TILE][vectors], bool fresh, Tile tile) {
  if (fresh) {
    clear(sums);
  } else {
    load_sums(sums, tile);
  }
}

// As ADD_PASS of passes.clh, for a tile.
INLINE void add_pass(float16 sums[ROW_TILE][vectors], int pass,
                     float16 kept[pass_levels][ROW_TILE][vectors]) {
  int level = 0;
  for (; (pass >> level & 1) != 0; ++level) {
#pragma unroll
    for (int p = 0; p < ROW_TILE; ++p)
#pragma unroll
      for (int v = 0; v < vectors; ++v) sums[p][v] = kept[level][p][v] + sums[p][v];
  }
#pragma unroll
  for (int p = 0; p < ROW_TILE; ++p)
#pragma unroll
    for (int v = 0; v < vectors; ++v) kept[level][p][v] = sums[p][v];
}

INLINE void store_sums(float16 sums[ROW_TILE][vectors], Tile tile) {
#pragma unroll
  for (int p = 0; p < ROW_TILE; ++p) {
#pragma unroll
    for (int v = 0; v < vectors; ++v) {
      if (p < tile.rows)
        store_part(sums[p][v], (__global float*)tile.at + p * tile.stride + v * lanes,
                   tile.columns - v * lanes);
    }
  }
}

// sums += a[ROW_TILE][depth] * panel[depth][vectors].
INLINE void multiply_tile(const float* a, int row_step, int depth_step,
                          const float16 (*panel)[vectors], int depth,
                          float16 sums[ROW_TILE][vectors]) {
  for (int k = 0; k < depth; ++k) {
#pragma unroll
    for (int p = 0; p < ROW_TILE; ++p) {
#pragma unroll
      for (int v = 0; v < vectors; ++v)
        sums[p][v] += a[p * row_step + k * depth_step] * panel[k][v];
    }
  }
}

// block[rows][block_step] = source[rows][depth], and zeros in what is missing to whole tiles.
INLINE void copy_rows(__global const float* source, int stride, int rows, int depth, float* block) {
  for (int row = 0; row < rows; ++row, source += stride, block += block_step) {
    int k = 0;
    for (; k + lanes <= depth; k += lanes) vstore16(vload16(0, source + k), 0, block + k);
    for (; k < depth; ++k) block[k] = source[k];
  }
  for (; rows % ROW_TILE != 0; ++rows, block += block_step)
    for (int k = 0; k < depth; ++k) block[k] = 0.0f;
}

INLINE int tiles_of(int columns) {
  return (columns + tile_columns - 1) / tile_columns;
}

// block[rows / ROW_TILE][panel_depth][ROW_TILE] = the transpose of source[depth][rows]. `columns`:
// that source has from there; what is not of the rows is of no use, but no row of the result
// either.
INLINE void copy_columns(__global const float* source, int stride, int columns, int rows, int depth,
                         float* block) {
  for (int row = 0; row < rows; row += 2 * ROW_TILE, block += 2 * panel_depth * ROW_TILE) {
    for (int k = 0; k < depth; ++k) {
      want(source + (size_t)(k + ahead) * stride + row);
      const float16 two = load_part(source + (size_t)k * stride + row, columns - row);
      vstore8(two.lo, k, block);
      vstore8(two.hi, panel_depth + k, block);
    }
  }
}

// panel[depth][vectors] = matrix[depth][columns]; what is missing to a tile is zero.
INLINE void copy_panel(__global const float* matrix, int stride, int columns, int depth,
                       float16 (*panel)[vectors]) {
  for (int k = 0; k < depth; ++k)
    for (int v = 0; v < vectors; ++v) {
      want(matrix + (size_t)(k + ahead) * stride + v * lanes);
      panel[k][v] = load_part(matrix + (size_t)k * stride + v * lanes, columns - v * lanes);
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

// Of `count` things, those of work-item `index` of `size`: the first, and how many.
INLINE int2 share(int count, int index, int size) {
  const int first = (int)((long)index * count / size);
  return (int2)(first, (int)((long)(index + 1) * count / size) - first);
}

// Where the panel of the slice from k0 on lies among packed ones, for a tile of columns.
INLINE size_t packed_place(int k0, int depth, int tile) {
  return ((size_t)k0 * tiles_of(OUT) + (size_t)depth * tile) * tile_columns;
}

// packed = the panels of weight, slice by slice. Work-items: (slice, tile of columns).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void pack_weight(
    __global const float* restrict weight, __global float* restrict packed) {
  const int k0 = get_global_id(0) * panel_depth, depth = min((int)panel_depth, IN - k0);
  const int tile = get_global_id(1), column = tile * tile_columns;
  float16 panel[panel_depth][vectors];
  copy_panel(weight + (size_t)k0 * OUT + column, OUT, OUT - column, depth, panel);
  __global float* target = packed + packed_place(k0, depth, tile);
  for (int k = 0; k < depth; ++k)
    for (int v = 0; v < vectors; ++v) vstore16(panel[k][v], k * vectors + v, target);
}

// y = x * weight + bias, then max(0, .) when `relu`; the weight as it is, or as its packed panels.
INLINE void multiply(__global const float* x, __global const float* weight, int is_packed,
                     __global const float* bias, __global float* y, int all_rows, int relu) {
  const int2 rows = share(all_rows, get_global_id(0), get_global_size(0));
  const int2 tiles = share(tiles_of(OUT), get_global_id(1), get_global_size(1));
  float block[block_rows * block_step];
  float16 panel[panel_depth][vectors];
  for (int k0 = 0; k0 < IN; k0 += panel_depth) {
    const int depth = min((int)panel_depth, IN - k0);
    copy_rows(x + (size_t)rows.x * IN + k0, IN, rows.y, depth, block);
    for (int t = 0; t < tiles.y; ++t) {
      const int column = (tiles.x + t) * tile_columns, columns = OUT - column;
      const float16(*operand)[vectors] = panel;
      if (is_packed) {  // one address space on a CPU
        operand = (const float16(*)[vectors])(size_t)(weight + packed_place(k0, depth, tiles.x + t));
      } else {
        copy_panel(weight + (size_t)k0 * OUT + column, OUT, columns, depth, panel);
      }
      for (int row = 0; row < rows.y; row += ROW_TILE) {
        const Tile tile = {y + (size_t)(rows.x + row) * OUT + column, OUT, rows.y - row, columns};
        float16 sums[ROW_TILE][vectors];
        if (k0 == 0) {
          load_sums(sums, (Tile){bias + column, 0, ROW_TILE, columns});
        } else {
          load_sums(sums, tile);
        }
        want_below(tile);
        multiply_tile(block + row * block_step, block_step, 1, operand, depth, sums);
        // A comparison that is false for NaN: it passes on and is found by the loss.
        if (relu && k0 + depth == IN) {
#pragma unroll
          for (int p = 0; p < ROW_TILE; ++p)
#pragma unroll
            for (int v = 0; v < vectors; ++v)
              sums[p][v] = select(sums[p][v], (float16)(0.0f), sums[p][v] < 0.0f);
        }
        store_sums(sums, tile);
      }
    }
  }
}

// Work-items: (block of rows, tiles of columns).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void forward(
    __global const float* restrict x, __global const float* restrict weight,
    __global const float* restrict bias, __global float* restrict y, int all_rows, int relu) {
  multiply(x, weight, 0, bias, y, all_rows, relu);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void forward_packed(
    __global const float* restrict x, __global const float* restrict packed,
    __global const float* restrict bias, __global float* restrict y, int all_rows, int relu) {
  multiply(x, packed, 1, bias, y, all_rows, relu);
}

// dx = dy * weight^T, 0 where x <= 0 when `mask`. Work-items: (block of rows, tiles of columns).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void input_gradient(
    __global const float* restrict dy, __global const float* restrict weight,
    __global const float* restrict x, __global float* restrict dx, int all_rows, int mask) {
  const int2 rows = share(all_rows, get_global_id(0), get_global_size(0));
  const int2 tiles = share(tiles_of(IN), get_global_id(1), get_global_size(1));
  float block[block_rows * block_step];
  float16 panel[panel_depth][vectors];
  for (int k0 = 0; k0 < OUT; k0 += panel_depth) {
    const int depth = min((int)panel_depth, OUT - k0);
    copy_rows(dy + (size_t)rows.x * OUT + k0, OUT, rows.y, depth, block);
    for (int t = 0; t < tiles.y; ++t) {
      const int column = (tiles.x + t) * tile_columns, columns = IN - column;
      transpose_panel(weight, column, k0, depth, panel);
      for (int row = 0; row < rows.y; row += ROW_TILE) {
        const size_t at = (size_t)(rows.x + row) * IN + column;
        const Tile tile = {dx + at, IN, rows.y - row, columns};
        float16 sums[ROW_TILE][vectors];
        begin_sums(sums, k0 == 0, tile);
        want_below(tile);
        multiply_tile(block + row * block_step, block_step, 1, panel, depth, sums);
        if (mask && k0 + depth == OUT) {
          float16 values[ROW_TILE][vectors];
          load_sums(values, (Tile){x + at, IN, rows.y - row, columns});
#pragma unroll
          for (int p = 0; p < ROW_TILE; ++p)
#pragma unroll
            for (int v = 0; v < vectors; ++v)
              sums[p][v] = select(sums[p][v], (float16)(0.0f), values[p][v] <= 0.0f);
        }
        store_sums(sums, tile);
      }
    }
  }
}

// The sums of the passes that `tile` holds, over its part of the depth: each by itself, then by pairs.
INLINE void multiply_passes(const float* a, int row_step, int depth_step,
                            const float16 (*panel)[vectors], int each, int passes,
                            float16 sums[ROW_TILE][vectors]) {
  float16 kept[pass_levels][ROW_TILE][vectors];
  for (int pass = 0; pass < passes; ++pass) {
    clear(sums);
    multiply_tile(a + pass * each * depth_step, row_step, depth_step, panel + pass * each, each,
                  sums);
    add_pass(sums, pass, kept);
  }
}

// dweight = x^T * dy over `passes` times `each` samples. Passes that fit a slice of the depth
// together are its `group`, a power of two; longer passes are groups of one. What is kept of groups
// until their neighbours are there lies in kept[levels][IN][OUT]. The work-items also share the sums
// of dbias, from exact_dy, which dy may be a rounded copy of. Work-items: (block of the weight's
// rows, tiles of columns).
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void weight_gradient(
    __global const float* restrict x, __global const float* restrict dy,
    __global const float* restrict exact_dy, __global float* dweight, __global float* dbias,
    __global float* kept, int each, int passes, int group) {
  const int2 rows = share(IN, get_global_id(0), get_global_size(0));
  const int2 tiles = share(tiles_of(OUT), get_global_id(1), get_global_size(1));
  const int groups = passes / group, samples = group * each;
  float block[block_rows * block_step];
  float16 panel[panel_depth][vectors];
  for (int g = 0; g < groups; ++g) {
    for (int slice = 0; slice < samples; slice += panel_depth) {
      const int depth = min((int)panel_depth, samples - slice);
      const size_t sample = (size_t)g * samples + slice;
      const bool copies = tiles.y > few_tiles || rows.y % ROW_TILE != 0;
      __global const float* stretch = x + sample * IN + rows.x;
      if (copies) copy_columns(stretch, IN, IN - rows.x, rows.y, depth, block);
      for (int t = 0; t < tiles.y; ++t) {
        const int column = (tiles.x + t) * tile_columns, columns = OUT - column;
        copy_panel(dy + sample * OUT + column, OUT, columns, depth, panel);
        for (int row = 0; row < rows.y; row += ROW_TILE) {
          // One address space on a CPU.
          const float* from =
              copies ? block + row * panel_depth : (const float*)(size_t)(stretch + row);
          const int step = copies ? ROW_TILE : IN;
          const size_t at = (size_t)(rows.x + row) * OUT + column;
          Tile tile = {dweight + at, OUT, rows.y - row, columns};
          float16 sums[ROW_TILE][vectors];
          want_below(tile);
          if (group > 1) {
            multiply_passes(from, 1, step, panel, each, group, sums);
          } else {
            begin_sums(sums, slice == 0, tile);
            multiply_tile(from, 1, step, panel, depth, sums);
          }
          if (slice + depth == samples && groups > 1) {
            tile.at = kept + at;
            for (int bits = g; (bits & 1) != 0; bits >>= 1, tile.at += IN * OUT)
              add_sums(sums, tile);
            if (g + 1 == groups) tile.at = dweight + at;
          }
          store_sums(sums, tile);
        }
      }
    }
  }
  const int2 own = share(OUT / lanes, get_global_id(0) * get_global_size(1) + get_global_id(1),
                         get_global_size(0) * get_global_size(1));
  for (int v = own.x; v < own.x + own.y; ++v) {
    float16 sum, of_passes[pass_levels];
    for (int pass = 0; pass < passes; ++pass) {
      sum = 0.0f;
      for (int row = pass * each; row < (pass + 1) * each; ++row)
        sum += vload16(v, exact_dy + (size_t)row * OUT);
      ADD_PASS(sum, pass, of_passes);
    }
    vstore16(sum, v, dbias);
  }
}
