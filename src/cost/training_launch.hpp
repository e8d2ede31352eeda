// What a launch of the kernels of hls/training costs: the forward pass that infers in fixed point,
// block floating point and integers of other widths than the engine's, in cycles and bytes.
//
// train_forward takes a layer with its ReLU and its max-pool and leaves a float32 map, which
// train_quantise turns into the next layer's numbers in a launch of its own.
#pragma once

#include <vector>

#include "cost/estimate.hpp"

namespace dovetail::cost {

// Pseudo channels of HBM that hls/training/link.cfg.in gives to maps of codes, to weights, and to
// float32 maps with their routes.
inline constexpr int code_channels = 4, square_channels = 4, real_channels = 8;

/// A family of hls/training: the numbers that its multipliers take, whatever the format's own bits.
struct TrainingFamily {
  int element_bits = 8;           // of a code or mantissa in a word and in a square
  int exponent_bits = 0;          // block floating point: of a word, and of each output of a square
  int sum_bits = 32;              // of an accumulator as the source declares it
  int operand_exponent_bits = 0;  // block floating point: of a word on its way to the multipliers
  /// Cycles from one addition to a sum to the next, the II of the products' loop: block floating
  /// point adds blocks as float32 in their order, so that it cannot spread them over partial sums
  /// (hls/training/bfp/family.hpp).
  int add_cycles = 1;

  std::int64_t word_bits(Folding f) const {
    return std::int64_t{f.simd} * element_bits + exponent_bits;
  }
  /// Words in 64 bytes of a map.
  std::int64_t words_per_burst(Folding f) const;
  /// A square on chip, and the bursts that bring it: one more for its exponents.
  std::int64_t square_bits(Folding f) const;
  std::int64_t square_bursts(Folding f) const;
};

/// Of a format that hls/training runs.
TrainingFamily training_family(const numeric::Format& format);

/// A convolution or dense layer, and the max-pool behind it if there is one.
struct FusedLayer {
  const LayerWork* linear = nullptr;
  const LayerWork* pool = nullptr;

  /// Of what leaves.
  const FeatureShape& out() const { return (pool != nullptr ? pool : linear)->out; }
};
/// Throws UsageError for a max-pool whose windows do not touch, which train_forward does not take.
std::vector<FusedLayer> fused_layers(const std::vector<LayerWork>& work);

/// Words and tiles of a layer as numeric/training_layout.hpp pads it.
struct TrainingShape {
  std::int64_t vector_words = 0, tiles = 0;
  std::int64_t map_words = 0;  // of one input map
  std::int64_t out_tiles = 0;  // of one output map, pooled
};
TrainingShape training_shape(const FusedLayer& layer, Folding f);

/// A row for each launch: the images, then each layer and what makes the next one's numbers of its
/// map.
std::vector<LayerCost> training_costs(const Question& question, Folding f);

/// What the kernels take, each at the first of its rows: memories and widths as built.
void add_training_units(const Question& question, Folding f, std::vector<LayerCost>& layers);

}  // namespace dovetail::cost
