// FPGA kernel: float32 maps to a family's numbers, rounded to nearest or stochastically; gradients
// go back through a max-pool on the way.
#include "dataflow.hpp"
#include "training/memory.hpp"

namespace {

using namespace dovetail::training;

/// Puts every value where its route says within its pool's window; the other places are zero.
struct Unpool {
  int height, width, words;  // of the output
  int pool;                  // 1: every place has its own value
  int routed;                // 0: there are no routes, and pool is 1
  // Once for all: a stage would divide for each row.
  int pooled_height = height / pool, pooled_width = width / pool;

  int pooled_row_words() const { return pooled_width * words; }
};

void pass(RealWord& value, const RouteTile& route, int half, int element) {
#pragma HLS inline
  for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
    value.value[l] = route.value[half * simd + l] == element ? value.value[l] : 0;
  }
}

/// Where a row of the output lies among the pool's windows.
struct PooledRow {
  bool inside;    // not beyond the last whole window
  int in_window;  // its number there
};

/// One row of the output, `values` and `routes` those of its windows. Random bits are numbered by
/// the place in the output map, of which `place` is the row's first.
void quantise_row(const RealWord* values, const RouteTile* routes, const PooledRow& row,
                  const Unpool& shape, const Rounding& rounding, std::uint32_t place,
                  WordStream& out) {
  const int columns = shape.pooled_width * shape.pool;
  int column = 0, in_window = 0, first = 0, word = 0;  // first: word of the window's values
  // invariant: one word of the values and of the routes is read in each cycle, and one leaves; its
  // random bits depend on its place alone. Only counters go from cycle to cycle.
  for (int cycle = 0; cycle < shape.width * shape.words; ++cycle) {
#pragma HLS pipeline II = 1
    const int element = row.in_window * shape.pool + in_window;
    RealWord value = {};
    if (row.inside && column < columns) {
      value = values[first + word];
      if (shape.routed != 0)
        pass(value, routes[(first + word) / words_per_tile], word % words_per_tile, element);
    }
    out.write(
        Family::quantise(value, rounding, (place + static_cast<std::uint32_t>(cycle)) * simd));
    if (++word < shape.words) continue;
    word = 0;
    ++column;
    in_window = in_window + 1 < shape.pool ? in_window + 1 : 0;
    first += in_window == 0 ? shape.words : 0;
  }
}

void quantise_maps(RealStream& reals, RouteStream& routes, WordStream& out, int images,
                   const Unpool& shape, const Rounding& rounding) {
  RealWord values[max_row_words];
  RouteTile kept_routes[max_row_words / words_per_tile];
#pragma HLS aggregate variable = values
#pragma HLS aggregate variable = kept_routes
  const int rows = shape.pooled_height * shape.pool;
  std::uint32_t place = 0;
  for (int image = 0; image < images; ++image) {
    int in_window = 0;
    for (int row = 0; row < shape.height; ++row) {
      if (row < rows && in_window == 0) {
        reals.read(values, shape.pooled_row_words());
        if (shape.routed != 0) routes.read(kept_routes, shape.pooled_row_words() / words_per_tile);
      }
      quantise_row(values, kept_routes, {row < rows, in_window}, shape, rounding, place, out);
      place += static_cast<std::uint32_t>(shape.width * shape.words);
      in_window = in_window + 1 < shape.pool ? in_window + 1 : 0;
    }
  }
}

/// The region: streams and calls alone, as UG1399 asks for ("Canonical Forms").
void quantise_maps_region(const RealWord* reals, const RouteBurst* routes, WordBurst* output,
                          int images, int all_words, int routed_images, int route_tiles,
                          int map_words, const Unpool& shape, const Rounding& rounding) {
  RealStream values;
  RouteStream chosen;
  WordStream codes;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_reals, reals, values, all_words);
  DATAFLOW_STAGE(load_routes, routes, chosen, 0, routed_images, route_tiles);
  DATAFLOW_STAGE(quantise_maps, values, chosen, codes, images, shape, rounding);
  DATAFLOW_STAGE(store_words, codes, output, images, map_words);
  DATAFLOW_END();
}

}  // namespace

/// output [batch][height][width][words] from reals [batch][height / pool][width / pool][words] and,
/// if `routed`, their routes. inverse: codes a unit.
extern "C" void train_quantise(const RealWord* reals, const RouteBurst* routes, WordBurst* output,
                               std::int32_t batch, std::int32_t height, std::int32_t width,
                               std::int32_t words, std::int32_t pool, std::int32_t routed,
                               float inverse, std::int32_t bits, std::int32_t stochastic,
                               std::uint32_t key) {
#pragma HLS interface m_axi port = reals bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = routes bundle = gmem1 offset = slave
#pragma HLS interface m_axi port = output bundle = gmem2 offset = slave
#pragma HLS interface s_axilite port = return
  const Unpool shape = {height, width, words, pool, routed};
  const Rounding rounding = {inverse, bits, stochastic, key};
  const int pooled = shape.pooled_height * shape.pooled_row_words();
  const int routed_images = routed != 0 ? batch : 0;
  quantise_maps_region(reals, routes, output, batch, batch * pooled, routed_images,
                       pooled / words_per_tile, height * width * words, shape, rounding);
}
