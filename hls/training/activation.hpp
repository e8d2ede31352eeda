// What follows the products: forward bias, ReLU and max-pool with its routes; backward the ReLU's
// mask. Both find the largest magnitude, from which the host chooses the next scale.
#pragma once

#include "numeric/float_bits.hpp"
#include "training/memory.hpp"

namespace dovetail {
namespace training {

/// Largest magnitudes seen so far, one a lane, by their bits: an integer is compared within the
/// cycle in which the next tile comes, a float32 is not. NaN is larger than all.
struct Largest {
  std::uint32_t of[pe] = {};

  void see(const RealTile& tile) {
#pragma HLS inline
    for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
      const std::uint32_t magnitude = numeric::magnitude_bits(tile.value[p]);
      of[p] = magnitude > of[p] ? magnitude : of[p];
    }
  }
  RealWord result() const {
    std::uint32_t largest = 0;
    for (int p = 0; p < pe; ++p) largest = of[p] > largest ? of[p] : largest;
    RealWord word = {};
    word.value[0] = numeric::float_of_bits(largest);
    return word;
  }
};

/// Elements of a window so far: the largest, the first of equals, and where it stood.
inline void meet(const RealTile& candidate, int element, RealTile& best, RouteTile& route) {
#pragma HLS inline
  for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
    const bool better = element == 0 || candidate.value[p] > best.value[p];
    best.value[p] = better ? candidate.value[p] : best.value[p];
    route.value[p] = better ? static_cast<std::int8_t>(element) : route.value[p];
  }
}

/// A maximum that the ReLU takes to zero passes no gradient on.
inline void rectify(RealTile& best, RouteTile& route) {
#pragma HLS inline
  for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
    const bool passes = best.value[p] > 0;
    best.value[p] = passes ? best.value[p] : 0;
    route.value[p] = passes ? route.value[p] : route_stopped;
  }
}

inline RealTile add(const RealTile& a, const RealTile& b) {
#pragma HLS inline
  RealTile sum;
  for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
    sum.value[p] = a.value[p] + b.value[p];
  }
  return sum;
}

struct Activation {
  int height, width, tiles;  // of the convolution's output
  int pool;                  // rows and columns of its windows, which touch; 1: no pool
  int relu;
  // Once for all: a division takes longer than a position.
  int out_height = height / pool, out_width = width / pool;
};

/// A position of the convolution's output, by counters: a division would take longer than the
/// position's tiles.
struct Position {
  int map_row = 0, map_column = 0;
  int window_row = 0, window = 0;  // row and column of its window among the windows
  int row = 0, column = 0;         // within the window

  /// The next in row-major order, behind the last one the first.
  void advance(const Activation& shape) {
#pragma HLS inline
    column = column + 1 < shape.pool ? column + 1 : 0;
    window += column == 0 ? 1 : 0;
    if (++map_column < shape.width) return;
    map_column = window = column = 0;
    row = row + 1 < shape.pool ? row + 1 : 0;
    window_row += row == 0 ? 1 : 0;
    if (++map_row < shape.height) return;
    map_row = window_row = row = 0;
  }
};

/// Positions in row-major order, `tiles` tiles each. Rows and columns beyond the last whole window
/// are dropped. A ReLU behind the maximum is the maximum behind the ReLU.
inline void activate(TileStream& sums, TileStream& bias_tiles, TileStream& out, RouteStream& routes,
                     RealStream& largest_out, int images, const Activation& shape) {
  RealTile bias[max_tiles];
  RealTile best[max_row_words / words_per_tile];
  RouteTile route[max_row_words / words_per_tile];
#pragma HLS aggregate variable = bias
#pragma HLS aggregate variable = best
#pragma HLS aggregate variable = route
  Largest largest;
#pragma HLS array_partition variable = largest.of complete
  bias_tiles.read(bias, shape.tiles);
  Position at;
  for (int position = 0; position < images * shape.height * shape.width; ++position) {
    const bool dropped = at.window_row >= shape.out_height || at.window >= shape.out_width;
    const int element = at.row * shape.pool + at.column, first = at.window * shape.tiles;
    // invariant: slots of one position differ, so no iteration reads what the one before writes,
    // and each is read once and written once; `largest` keeps a maximum a lane, one comparison a
    // cycle.
    for (int t = 0; t < shape.tiles; ++t) {
#pragma HLS pipeline II = 1
      const RealTile value = add(sums.read(), bias[t]);
      if (dropped) continue;
      const int slot = first + t;
      RealTile most = best[slot];
      RouteTile from = route[slot];
      meet(value, element, most, from);
      best[slot] = most;
      route[slot] = from;
      if (element + 1 < shape.pool * shape.pool) continue;
      if (shape.relu != 0) rectify(most, from);
      largest.see(most);
      out.write(most);
      routes.write(from);
    }
    at.advance(shape);
  }
  largest_out.write(largest.result());
}

/// Zero where the route stops.
inline void mask(TileStream& sums, RouteStream& routes, TileStream& out, RealStream& largest_out,
                 int tiles) {
  Largest largest;
#pragma HLS array_partition variable = largest.of complete
  // invariant: a tile comes and leaves in each cycle; `largest` as in activate.
  for (int t = 0; t < tiles; ++t) {
#pragma HLS pipeline II = 1
    RealTile tile = sums.read();
    const RouteTile route = routes.read();
    for (int p = 0; p < pe; ++p) {
#pragma HLS unroll
      tile.value[p] = route.value[p] == route_stopped ? 0 : tile.value[p];
    }
    largest.see(tile);
    out.write(tile);
  }
  largest_out.write(largest.result());
}

}  // namespace training
}  // namespace dovetail
