// FPGA kernel: dense layer on int8 vectors, to int8 with ReLU and requantisation, or to int32
// accumulators.
#include "activation.hpp"
#include "dataflow.hpp"
#include "matrix_vector.hpp"

using namespace dovetail::int8;

/// input: `batch` maps of `words` words, each starting on a burst; output: `batch` vectors of tiles
/// · pe int8, or int32 when `raw`, each starting on a burst. Weights and parameters as
/// numeric/int8_layout.hpp lays them out.
extern "C" void dense_int8(const Burst* input, const Burst* weights, const Burst* parameters,
                           Burst* output, std::int32_t batch, std::int32_t words,
                           std::int32_t tiles, std::int32_t relu, std::int32_t raw) {
#pragma HLS interface m_axi port = input bundle = gmem0 offset = slave
#pragma HLS interface m_axi port = weights bundle = gmem1 offset = slave
#pragma HLS interface m_axi port = parameters bundle = gmem2 offset = slave
#pragma HLS interface m_axi port = output bundle = gmem3 offset = slave
#pragma HLS interface s_axilite port = return
  const int out_words = tiles * pe * (raw != 0 ? 4 : 1) / simd;
  LaneStream vectors, activations;
  WeightStream weight_words;
  ParameterStream parameter_tiles;
  AccumulatorStream sums;
  DATAFLOW_BEGIN();
  DATAFLOW_STAGE(load_lanes, input, vectors, batch, words);
  DATAFLOW_STAGE(load_weights, weights, weight_words, tiles * words);
  DATAFLOW_STAGE(load_parameters, parameters, parameter_tiles, tiles);
  DATAFLOW_STAGE(matrix_vector, vectors, weight_words, sums, batch, words, tiles);
  DATAFLOW_STAGE(activate, sums, parameter_tiles, activations, batch, tiles, relu, raw);
  DATAFLOW_STAGE(store_lanes, activations, output, batch, out_words);
  DATAFLOW_END();
}
