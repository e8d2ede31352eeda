// FPGA kernel: forward pass of a dense or convolution layer, its ReLU and its max-pool, in low
// precision.
#include "dataflow.hpp"
#include "training/activation.hpp"
#include "training/matrix_vector.hpp"
#include "training/window.hpp"

namespace {

using namespace dovetail::training;

/// The region: streams and calls alone, as UG1399 asks for ("Canonical Forms").
void forward_region(const WordBurst* input, const SquareBurst* weights, const RealWord* bias,
                    RealWord* output, RouteBurst* routes, RealWord* largest, int first, int images,
                    int map_words, int vectors, int vector_words, int tiles, int squares,
                    int pooled_tiles, int first_tile, int all_tiles, float scale, int slot,
                    const Window& window, const Activation& shape) {
  WordStream maps, windows;
  SquareStream square_stream;
  TileStream biases, sums, activations;
  RouteStream chosen;
  RealStream peak;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_words, input, maps, first, images, map_words);
  DATAFLOW_STAGE(load_squares, weights, square_stream, squares);
  DATAFLOW_STAGE(load_tiles, bias, biases, tiles);
  DATAFLOW_STAGE(sliding_window, maps, windows, images, window);
  DATAFLOW_STAGE(matrix_vector, windows, square_stream, sums, vectors, vector_words, tiles, scale);
  DATAFLOW_STAGE(activate, sums, biases, activations, chosen, peak, images, shape);
  DATAFLOW_STAGE(store_tiles, activations, output, first_tile, all_tiles);
  DATAFLOW_STAGE(store_routes, chosen, routes, first, images, pooled_tiles);
  DATAFLOW_STAGE(store_largest, peak, largest, slot);
  DATAFLOW_END();
}

}  // namespace

/// Of `batch` maps from number `first` on: output = pool(relu(conv(input) · scale + bias)) in
/// float32, routes of the windows' maxima, and in burst `slot` of `largest` the largest magnitude.
/// Sizes within the maxima of numeric/training_layout.hpp; pooled windows touch and do not overlap.
extern "C" void train_forward(const WordBurst* input, const SquareBurst* weights,
                              const RealWord* bias, RealWord* output, RouteBurst* routes,
                              RealWord* largest, std::int32_t first, std::int32_t batch,
                              std::int32_t height, std::int32_t width, std::int32_t words,
                              std::int32_t tiles, std::int32_t kernel, std::int32_t stride,
                              std::int32_t padding, std::int32_t pool, std::int32_t relu,
                              float scale, std::int32_t slot) {
#pragma HLS interface m_axi port = input bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = weights bundle = gmem1 offset = slave
#pragma HLS interface m_axi port = bias bundle = gmem2 offset = slave
#pragma HLS interface m_axi port = output bundle = gmem3 offset = slave
#pragma HLS interface m_axi port = routes bundle = gmem4 offset = slave
#pragma HLS interface m_axi port = largest bundle = gmem5 offset = slave
#pragma HLS interface s_axilite port = return
  const int out_height = output_extent(height, kernel, stride, padding);
  const int out_width = output_extent(width, kernel, stride, padding);
  const Window window = {height, width, words, kernel, stride, 1, padding, out_height, out_width};
  const Activation shape = {out_height, out_width, tiles, pool, relu};
  const int pooled = shape.out_height * shape.out_width * tiles;
  forward_region(input, weights, bias, output, routes, largest, first, batch,
                 height * width * words, batch * out_height * out_width, window.vector_words(),
                 tiles, tiles * window.vector_words(), pooled, first * pooled, batch * pooled,
                 scale, slot, window, shape);
}
