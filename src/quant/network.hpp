// A trained network as the FPGA side takes it: layers with float32 weights and the ranges that
// calibration found.
#pragma once

#include <string>
#include <vector>

#include "tensor/tensor.hpp"

namespace dovetail::quant {

enum class LayerKind { conv2d, dense, max_pool };

/// One layer on the FPGA. conv2d and dense carry weights in the canonical layouts ([out, in, kh,
/// kw], [out, in]); a dense layer after feature maps takes them flattened as [channels, height,
/// width]. `relu` stands for a ReLU behind it.
struct Layer {
  LayerKind kind = LayerKind::dense;
  std::string name;
  int in_channels = 0, in_height = 1, in_width = 1;
  int out_channels = 0, out_height = 1, out_width = 1;
  int kernel = 1, stride = 1, padding = 0;
  bool relu = false;
  std::vector<float> weight;
  std::vector<float> bias;
  float output_range =
      0;  // largest |output| that calibration saw, after the ReLU; unused in the last layer
};

struct Network {
  std::string model;
  int channels = 0, height = 0, width = 0, classes = 0;
  std::vector<float> input_mean, input_deviation;  // per channel, of x / 255
  float input_range = 0;  // largest |normalised input| that calibration saw
  std::vector<Layer> layers;
};

}  // namespace dovetail::quant
