// A weight pack opened: what the engine loads onto the card, and what the twin computes with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "numeric/format.hpp"
#include "quant/quantise.hpp"
#include "quant/weight_pack.hpp"

namespace dovetail::quant {

/// From the accumulators of one output channel to its activations, as numeric/engine_layout.hpp
/// says.
struct Channel {
  std::int32_t bias = 0;  // with the factor: of 8-bit activations; alone: of raw accumulators
  Factor factor;
  std::vector<std::int32_t> thresholds;  // ascending; of 1-, 2- and 4-bit activations
  bool downwards = false;                // the code counts the thresholds that are not reached

  bool operator==(const Channel&) const = default;
};

/// One layer of a pack. Extents are the network's own; weights and parameters lie as
/// numeric/engine_layout.hpp says.
struct PackedLayer {
  LayerKind kind = LayerKind::dense;
  std::string name;
  int in_channels = 0, in_height = 1, in_width = 1;
  int out_channels = 0, out_height = 1, out_width = 1;
  int kernel = 1, stride = 1, padding = 0;
  Activation activation = Activation::none;
  bool stored_input = false;  // the input is a hidden map, with padded channels
  int weight_bits = 8;        // as stored: 2 for ternary
  int in_bits = 8;            // of the activations that come in
  int out_bits = 8;           // of those that leave, or engine::raw_bits

  std::vector<std::uint8_t> weights;     // empty for max_pool
  std::vector<std::int32_t> parameters;  // empty for max_pool
  // [out_channels]: real value of one step of the accumulator, and what is to be added to it.
  std::vector<float> scales, biases;

  int stored_in_channels() const;
  /// Output tiles; lanes of one input vector or window; words of weights that they meet in a tile.
  int tiles() const;
  int lanes() const;
  int words() const;
  /// Bytes of `weights` and elements of `parameters`.
  std::size_t weight_bytes() const;
  std::size_t parameter_count() const;

  /// The weight that multiplies input channel `in` at kernel position or, for a dense layer, map
  /// position (row, column).
  int weight(int out, int in, int row, int column) const;
  void set_weight(int out, int in, int row, int column, int value);
  Channel channel(int out) const;
  /// The real value of a raw accumulator of the last layer.
  float logit(std::size_t out, std::int32_t accumulator) const {
    return static_cast<float>(accumulator) * scales[out] + biases[out];
  }
  void set_channel(int out, const Channel& channel);

 private:
  struct Place {
    std::size_t byte = 0;
    int bit = 0;
  };
  Place place(int out, int in, int row, int column, int plane) const;
  std::int32_t& parameter(int out, int field);
  std::int32_t parameter(int out, int field) const;
};

struct PackedNetwork {
  std::string format;  // a name of pack_formats()
  std::string model;
  std::uint64_t version = 0;
  int channels = 0, height = 0, width = 0, classes = 0;
  std::vector<std::int8_t> input_tables;  // [channels, 256]
  std::vector<PackedLayer> layers;  // the last one's accumulators · scales + biases are the logits
};

/// The number format that a pack's header names, without a look at the rest. Throws Error when
/// there is no such header.
std::string format_of(const WeightPack& pack);

/// Opens a pack after checking its checksum, its sizes and everything that the kernels rely on.
/// Throws Error on any damage, and for a pack in a format that is not of pack_formats().
PackedNetwork parse(const WeightPack& pack);

/// The opposite of parse: the bytes that travel.
WeightPack serialise(const PackedNetwork& network);

/// The format behind a name of pack_formats(). Throws UsageError, listing them, for another.
numeric::Format fpga_format(const std::string& name);

/// Sets every layer's bits and stored_input as the format and its place in the network ask.
void assign_bits(PackedNetwork& network);

/// Throws Error, naming the layer, where the layers do not follow from one another, or are beyond
/// the kernels' maxima.
void check_layers(const PackedNetwork& network);

}  // namespace dovetail::quant
