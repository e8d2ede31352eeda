// A trained network as the FPGA side takes it: layers with float32 weights and the ranges that
// calibration found.
#pragma once

#include <string>
#include <vector>

#include "quant/calibration.hpp"
#include "tensor/tensor.hpp"

namespace dovetail::quant {

enum class LayerKind { conv2d, dense, max_pool };
inline const char* to_string(LayerKind kind) {
  return kind == LayerKind::conv2d ? "conv2d" : kind == LayerKind::dense ? "dense" : "max_pool";
}
/// What stands behind a layer: nothing, max(0, y), or ±1 by the sign of y (0 counts as +1).
enum class Activation { none, relu, sign };

/// One layer on the FPGA. conv2d and dense carry weights in the canonical layouts ([out, in, kh,
/// kw], [out, in]); a dense layer after feature maps takes them flattened as [channels, height,
/// width]. It gives activation(gain · (W x + b) + offset).
struct Layer {
  LayerKind kind = LayerKind::dense;
  std::string name;
  int in_channels = 0, in_height = 1, in_width = 1;
  int out_channels = 0, out_height = 1, out_width = 1;
  int kernel = 1, stride = 1, padding = 0;
  Activation activation = Activation::none;
  std::vector<float> weight;
  std::vector<float> bias;
  // [out_channels] each, or empty: a batch norm behind the layer (identity), and the real value of
  // one step of the weights (from the weights themselves).
  std::vector<float> gain, offset;
  std::vector<float> weight_scale;
  // Unused in the last layer: the largest |output| that calibration saw, behind the activation, and
  // how often it saw which (or nothing); the real value of one step of the output as training has
  // learnt it (0: from the range).
  float output_range = 0;
  Histogram output_histogram{};
  float output_step = 0;
};

struct Network {
  std::string model;
  int channels = 0, height = 0, width = 0, classes = 0;
  std::vector<float> input_mean, input_deviation;  // per channel, of x / 255
  float input_range = 0;  // largest |normalised input| that calibration saw
  std::vector<Layer> layers;
};

}  // namespace dovetail::quant
