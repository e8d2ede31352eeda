// FPGA kernel: the gradient of a dense or convolution layer's input, by the transposed
// matrix-vector unit.
#include "dataflow.hpp"
#include "training/activation.hpp"
#include "training/matrix_vector.hpp"
#include "training/window.hpp"

namespace {

using namespace dovetail::training;

/// The region: streams and calls alone, as UG1399 asks for ("Canonical Forms").
void input_gradient_region(const WordBurst* gradient, const SquareBurst* weights,
                           const RouteBurst* routes, RealWord* output, RealWord* largest, int first,
                           int images, int map_words, int squares, int vectors, int tiles,
                           int positions, int in_words, int in_tiles, int first_tile, int all_tiles,
                           float scale, int slot, const Window& window, const Rounding& rounding) {
  WordStream maps, windows;
  SquareStream square_stream;
  TileStream sums, masked;
  RouteStream passes;
  RealStream peak;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_words, gradient, maps, first, images, map_words);
  DATAFLOW_STAGE(load_squares, weights, square_stream, squares);
  DATAFLOW_STAGE(load_routes, routes, passes, first, images, in_tiles);
  DATAFLOW_STAGE(sliding_window, maps, windows, images, window);
  DATAFLOW_STAGE(transposed_matrix_vector, windows, square_stream, sums, vectors, tiles, positions,
                 in_words, scale, rounding);
  DATAFLOW_STAGE(mask, sums, passes, masked, peak, all_tiles);
  DATAFLOW_STAGE(store_tiles, masked, output, first_tile, all_tiles);
  DATAFLOW_STAGE(store_largest, peak, largest, slot);
  DATAFLOW_END();
}

}  // namespace

/// Of `batch` maps from number `first` on: output [in_height][in_width][in_words] = scale · Wᵀ
/// gradient, zero where `routes` of the layer before stop, and in burst `slot` of `largest` the
/// largest magnitude. gradient [height][width][2 · tiles]; weights as train_forward takes them;
/// `bits`: of a block's mantissas, for families that block anew.
extern "C" void train_input_gradient(const WordBurst* gradient, const SquareBurst* weights,
                                     const RouteBurst* routes, RealWord* output, RealWord* largest,
                                     std::int32_t first, std::int32_t batch, std::int32_t height,
                                     std::int32_t width, std::int32_t tiles, std::int32_t in_height,
                                     std::int32_t in_width, std::int32_t in_words,
                                     std::int32_t kernel, std::int32_t stride, std::int32_t padding,
                                     std::int32_t bits, float scale, std::int32_t slot) {
#pragma HLS interface m_axi port = gradient bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = weights bundle = gmem1 offset = slave
#pragma HLS interface m_axi port = routes bundle = gmem2 offset = slave
#pragma HLS interface m_axi port = output bundle = gmem3 offset = slave
#pragma HLS interface m_axi port = largest bundle = gmem4 offset = slave
#pragma HLS interface s_axilite port = return
  const int words = tiles * words_per_tile;
  const Window window = {height,    width,   words, kernel, 1, stride, kernel - 1 - padding,
                         in_height, in_width};
  const Rounding rounding = {1.0F, bits, 0, 0};
  const int in_tiles = in_height * in_width * in_words / words_per_tile;
  input_gradient_region(gradient, weights, routes, output, largest, first, batch,
                        height * width * words, tiles * kernel * kernel * in_words,
                        batch * in_height * in_width, tiles, kernel * kernel, in_words, in_tiles,
                        first * in_tiles, batch * in_tiles, scale, slot, window, rounding);
}
