// What a launch of the weight-streaming engine costs: a layer on the units of hls/engine, in cycles
// and bytes. All of it is for the formats that runs_on_engine.
#pragma once

#include "cost/cycles.hpp"
#include "cost/estimate.hpp"

namespace dovetail::cost {

inline constexpr int burst_bits = 512;  // of one m_axi word
// Pseudo channels of HBM that hls/engine/link.cfg.in gives to all maps, and to all weights.
inline constexpr int map_channels = 2, weight_channels = 2;

/// A convolution or dense layer as its launch sees it.
struct Launch {
  Operands operands;
  std::int64_t words = 0, tiles = 0;         // of weights
  std::int64_t passes = 1;                   // over the words for each vector
  std::int64_t in_words = 0, out_words = 0;  // of one image, as they travel between the stages
};

/// Whether hls/engine runs the format; of the others that a kernel runs all are of hls/training.
bool runs_on_engine(const numeric::Format& format);

/// Bits that a weight takes in the engine's memories.
int stored_weight_bits(const numeric::Format& format);

/// Bits of a map that a stage takes each cycle: 16 bytes for 64 bit-serial lanes or 16 lanes of
/// bytes.
std::int64_t chunk_bits(const numeric::Format& format, Folding folding);

/// Cycles between two tiles that leave the activation (hls/activation.hpp): as many as raw
/// accumulators take.
std::int64_t activation_interval(const numeric::Format& format, Folding folding);

/// Weights of 1, 2 and 4 bits are multiplied one bit plane of the activations a pass
/// (hls/bit_serial.hpp), so that layers with inputs of any width share one unit.
bool is_bit_serial(const numeric::Format& format);

/// Elements of so many bits that travel between two stages each cycle.
int stream_lanes(const numeric::Format& format, Folding folding, int bits);

/// Hidden maps have their channels padded to whole tiles, the network's input is as it is.
std::int64_t stored_channels(const LayerWork& layer, Folding folding);

Launch launch_of(const Question& question, const LayerWork& layer, Folding folding);

/// A convolution's windows for one image of codes of `bits` bits, as hls/sliding_window.hpp fills
/// its lines and reads them: not at the same time; the marks of 1-bit codes beside their codes.
Loops window_loops(const numeric::Format& format, const LayerWork& layer, Folding f, int bits);
/// The vectors of one image into the product's own memory: a word of 8-bit lanes a cycle; where
/// they are taken apart into bit planes, a chunk a cycle by rows of four, then a word a cycle
/// (hls/byte_product.hpp, hls/bit_serial.hpp).
Loops reading_loops(const numeric::Format& format, const LayerWork& layer, const Launch& launch);

/// What the kernels take that a model's layers run on, at the first layer of each: memories and
/// accumulators as built, logic for the format's widths.
void add_engine_units(const Question& question, Folding folding, std::vector<LayerCost>& layers);

LayerCost input_cost(const Question& question, Folding folding);
LayerCost pool_cost(const Question& question, const LayerWork& layer, Folding folding);
LayerCost linear_cost(const Question& question, const LayerWork& layer, Folding folding);

}  // namespace dovetail::cost
