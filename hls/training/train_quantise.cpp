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

  int pooled_row_words() const { return width / pool * words; }
  int pooled_height() const { return height / pool; }
};

void pass(RealWord& value, const RouteTile& route, int half, int element) {
#pragma HLS inline
  for (int l = 0; l < simd; ++l) {
#pragma HLS unroll
    value.value[l] = route.value[half * simd + l] == element ? value.value[l] : 0;
  }
}

/// One position of the output. `values`, `routes`: of its window, or null where there is none.
/// Random bits are numbered by the place in the output map.
void quantise_position(const RealWord* values, const RouteTile* routes, int element,
                       const Unpool& shape, const Rounding& rounding, std::uint32_t place,
                       WordStream& out) {
  // invariant: one word leaves in each cycle; its random bits depend on its place alone.
  for (int w = 0; w < shape.words; ++w) {
#pragma HLS pipeline II = 1
    RealWord value = {};
    if (values != nullptr) value = values[w];
    if (routes != nullptr) pass(value, routes[w / words_per_tile], w % words_per_tile, element);
    out.write(Family::quantise(value, rounding, (place + static_cast<std::uint32_t>(w)) * simd));
  }
}

void quantise_maps(RealStream& reals, RouteStream& routes, WordStream& out, int images,
                   const Unpool& shape, const Rounding& rounding) {
  RealWord values[max_row_words];
  RouteTile kept_routes[max_row_words / words_per_tile];
#pragma HLS aggregate variable = values
#pragma HLS aggregate variable = kept_routes
  const int rows = shape.pooled_height() * shape.pool;
  const int columns = shape.width / shape.pool * shape.pool;
  std::uint32_t place = 0;
  for (int line = 0; line < images * shape.height; ++line) {
    const int row = line % shape.height;
    if (row < rows && row % shape.pool == 0) {
      reals.read(values, shape.pooled_row_words());
      if (shape.routed != 0) routes.read(kept_routes, shape.pooled_row_words() / words_per_tile);
    }
    for (int column = 0; column < shape.width; ++column) {
      const bool inside = row < rows && column < columns;
      const int first = column / shape.pool * shape.words;
      const int element = row % shape.pool * shape.pool + column % shape.pool;
      quantise_position(
          inside ? values + first : nullptr,
          inside && shape.routed != 0 ? kept_routes + first / words_per_tile : nullptr, element,
          shape, rounding, place, out);
      place += static_cast<std::uint32_t>(shape.words);
    }
  }
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
  const int pooled = shape.pooled_height() * shape.pooled_row_words();
  const int routed_images = routed != 0 ? batch : 0;
  RealStream values;
  RouteStream chosen;
  WordStream codes;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_reals, reals, values, batch * pooled);
  DATAFLOW_STAGE(load_routes, routes, chosen, 0, routed_images, pooled / words_per_tile);
  DATAFLOW_STAGE(quantise_maps, values, chosen, codes, batch, shape, rounding);
  DATAFLOW_STAGE(store_words, codes, output, batch, height * width * words);
  DATAFLOW_END();
}
