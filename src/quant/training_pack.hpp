// Weights on their way to the training kernels, whose engines differentiate or only infer: one step
// a tensor or one exponent a block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quant/network.hpp"
#include "quant/training_format.hpp"
#include "quant/weight_pack.hpp"

namespace dovetail::quant {

/// One layer with weights, the ReLU and the max-pool behind it. A dense layer is a convolution
/// whose kernel covers its input map, or of a 1 × 1 map where it takes the image.
struct TrainingLayer {
  std::string name;
  bool dense = false;
  int in_channels = 0, in_height = 1, in_width = 1;
  int out_channels = 0, out_height = 1, out_width = 1;  // before the pool
  int kernel = 1, stride = 1, padding = 0;              // of a convolution
  int pool = 1;                                         // rows and columns of windows that touch
  bool relu = false;

  std::vector<std::int16_t> codes;     // [out, in, rows, columns]
  std::vector<std::int8_t> exponents;  // [out, ⌈in / 16⌉, rows, columns]; empty without blocks
  float step = 1;                      // real value of one code; 1 with blocks
  float output_range = 0;   // the magnitude that the outputs' largest code stands for; 0: the
                            // largest of those at hand
  std::vector<float> bias;  // [out]

  int rows() const { return dense ? in_height : kernel; }
  int columns() const { return dense ? in_width : kernel; }
  int pooled_height() const { return out_height / pool; }
  int pooled_width() const { return out_width / pool; }
  /// The real value of one code of the outputs, of which `largest` is the largest magnitude.
  float output_step(const TrainingFormat& format, float largest) const {
    return format.step(output_range > 0 ? output_range : largest);
  }
  std::size_t weight_count() const;
  std::size_t block_count() const;
  /// Index into `exponents` of the block of weight `index`.
  std::size_t block_of(std::size_t index) const;
};

struct TrainingNetwork {
  TrainingFormat format;
  std::string model;
  std::uint64_t version = 0;
  bool forward_only = false;  // no gradient is asked for
  int channels = 0, height = 0, width = 0, classes = 0;
  std::vector<float> input_mean, input_deviation;  // per channel, of x / 255
  std::vector<TrainingLayer> layers;
};

/// Quantises a network's weights to nearest in `format`; biases and input statistics travel as
/// float32. Weights take the format's bits on the wire. Ranges of calibration are not used. Throws
/// UsageError for a format that the training kernels do not know, Error for weights that are not
/// finite, or layers that the kernels cannot take.
WeightPack pack_training(const Network& network, const std::string& format, std::uint64_t version);

/// The same for inference: batch norms are folded into the weights in float32 beforehand, and the
/// activations have one step a layer, from the calibrated ranges (block floating point needs none),
/// so that an image's logits do not depend on its neighbours. Throws UsageError for a format that
/// the training kernels do not know, and for a network that their forward pass cannot run, such as
/// one with signs as activations; Error for weights that are not finite.
WeightPack pack_forward(const Network& network, const std::string& format, std::uint64_t version,
                        const Calibration& calibration = {});

/// Throws Error for means and deviations that cannot normalise the input.
void check_input_statistics(const TrainingNetwork& network);

/// The bytes that parse_training opens.
WeightPack serialise_training(TrainingNetwork& network);

/// Opens a pack of pack_training or pack_forward after checking its checksum, its sizes and
/// everything that the kernels rely on. Throws Error on any damage.
TrainingNetwork parse_training(const WeightPack& pack);

/// Throws Error, naming the layer, where the layers do not follow from one another or are beyond
/// the kernels' maxima.
void check_training_layers(const TrainingNetwork& network);

}  // namespace dovetail::quant
