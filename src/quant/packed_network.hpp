// A weight pack opened: what the engine loads onto the card, and what the twin computes with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quant/quantise.hpp"
#include "quant/weight_pack.hpp"

namespace dovetail::quant {

/// One layer of an int8 pack. Extents are the network's own; weights and parameters lie as
/// numeric/int8_layout.hpp says.
struct PackedLayer {
  LayerKind kind = LayerKind::dense;
  std::string name;
  int in_channels = 0, in_height = 1, in_width = 1;
  int out_channels = 0, out_height = 1, out_width = 1;
  int kernel = 1, stride = 1, padding = 0;
  Activation activation = Activation::none;
  bool stored_input = false;  // the input is a hidden map, with padded channels

  std::vector<std::int8_t> weights;      // empty for max_pool
  std::vector<std::int32_t> parameters;  // [tile][bias, multiplier, shift][pe]; empty for max_pool
  std::vector<float> scales;             // [out_channels] real value of one step of the accumulator

  int stored_in_channels() const;
  /// simd-byte words of one input vector or window, and output tiles.
  int words() const;
  int tiles() const;
  /// The weight that multiplies input channel `in` at kernel position or, for a dense layer, map
  /// position (row, column).
  std::int8_t weight(int out, int in, int row, int column) const;
  std::size_t weight_index(int out, int in, int row, int column) const;

  struct Channel {
    std::int32_t bias = 0;
    Factor factor;
  };
  Channel channel(int out) const;
};

struct PackedNetwork {
  std::string format;  // "int8"
  std::string model;
  std::uint64_t version = 0;
  int channels = 0, height = 0, width = 0, classes = 0;
  std::vector<std::int8_t> input_tables;  // [channels, 256]
  std::vector<PackedLayer> layers;        // the last one's accumulators · scales are the logits
};

/// The number format that a pack's header names, without a look at the rest. Throws Error when
/// there is no such header.
std::string format_of(const WeightPack& pack);

/// Opens a pack after checking its checksum, its sizes and everything that the kernels rely on.
/// Throws Error on any damage, and for a pack in a format other than "int8".
PackedNetwork parse(const WeightPack& pack);

/// The opposite of parse: the bytes that travel.
WeightPack serialise(const PackedNetwork& network);

/// Throws Error, naming the layer, where the layers do not follow from one another, or are beyond
/// the kernels' maxima.
void check_layers(const PackedNetwork& network);

}  // namespace dovetail::quant
