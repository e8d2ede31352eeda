// FPGA kernel: 2-D convolution of int8 feature maps, with bias, ReLU and requantisation.
#include "activation.hpp"
#include "dataflow.hpp"
#include "matrix_vector.hpp"
#include "sliding_window.hpp"

using namespace dovetail::int8;

/// input [batch][height][width][channels] and output [batch][…][…][tiles · pe], weights and
/// parameters as numeric/int8_layout.hpp lays them out. All sizes within its maxima; kernel ≤
/// height + 2 padding and width likewise.
extern "C" void conv2d_int8(const Burst* input, const Burst* weights, const Burst* parameters,
                            Burst* output, std::int32_t batch, std::int32_t height,
                            std::int32_t width, std::int32_t channels, std::int32_t tiles,
                            std::int32_t kernel, std::int32_t stride, std::int32_t padding,
                            std::int32_t relu) {
#pragma HLS interface m_axi port = input bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = weights bundle = gmem1 offset = slave
#pragma HLS interface m_axi port = parameters bundle = gmem2 offset = slave
#pragma HLS interface m_axi port = output bundle = gmem3 offset = slave
#pragma HLS interface s_axilite port = return
  const int in_words = image_words(height, width, channels);
  const int words = window_words(kernel, channels);
  const int pixels = output_extent(height, kernel, stride, padding) *
                     output_extent(width, kernel, stride, padding);
  LaneStream rows, windows, activations;
  WeightStream weight_words;
  ParameterStream parameter_tiles;
  AccumulatorStream sums;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_lanes, input, rows, batch, in_words);
  DATAFLOW_STAGE(load_weights, weights, weight_words, tiles * words);
  DATAFLOW_STAGE(load_parameters, parameters, parameter_tiles, tiles);
  DATAFLOW_STAGE(sliding_window, rows, windows, batch, height, width, channels, kernel, stride,
                 padding);
  DATAFLOW_STAGE(matrix_vector, windows, weight_words, sums, batch * pixels, words, tiles);
  DATAFLOW_STAGE(activate, sums, parameter_tiles, activations, batch * pixels, tiles, relu, 0);
  DATAFLOW_STAGE(store_lanes, activations, output, batch, pixels * tiles * (pe / simd));
  DATAFLOW_END();
}
