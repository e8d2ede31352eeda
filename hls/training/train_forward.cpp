// FPGA kernel: forward pass of a dense or convolution layer, its ReLU and its max-pool, in low
// precision.
#include "dataflow.hpp"
#include "training/activation.hpp"
#include "training/matrix_vector.hpp"
#include "training/window.hpp"

using namespace dovetail::training;

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
  const int pixels = out_height * out_width;
  const int pooled = shape.out_height() * shape.out_width() * tiles;
  WordStream maps, windows;
  SquareStream squares;
  TileStream biases, sums, activations;
  RouteStream chosen;
  RealStream peak;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_words, input, maps, first, batch, height * width * words);
  DATAFLOW_STAGE(load_squares, weights, squares, tiles * window.vector_words());
  DATAFLOW_STAGE(load_tiles, bias, biases, tiles);
  DATAFLOW_STAGE(sliding_window, maps, windows, batch, window);
  DATAFLOW_STAGE(matrix_vector, windows, squares, sums, batch * pixels, window.vector_words(),
                 tiles, scale);
  DATAFLOW_STAGE(activate, sums, biases, activations, chosen, peak, batch, shape);
  DATAFLOW_STAGE(store_tiles, activations, output, first * pooled, batch * pooled);
  DATAFLOW_STAGE(store_routes, chosen, routes, first, batch, pooled);
  DATAFLOW_STAGE(store_largest, peak, largest, slot);
  DATAFLOW_END();
}
