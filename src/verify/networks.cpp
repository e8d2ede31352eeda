// Builds networks layer by layer, each on what the one before gives.
#include "verify/networks.hpp"

#include <algorithm>
#include <cmath>

#include "numeric/quantisation_law.hpp"
#include "support/random.hpp"
#include "tensor/layout.hpp"

namespace dovetail::verify {
namespace {

using quant::Layer;
using quant::LayerKind;

class Builder {
 public:
  Builder(const char* model, const InputShape& input, Purpose purpose, std::uint64_t seed)
      : random_(seed),
        purpose_(purpose),
        channels_(input.channels),
        height_(input.height),
        width_(input.width) {
    network_ = {.model = model,
                .channels = input.channels,
                .height = input.height,
                .width = input.width,
                .classes = input.classes,
                .input_mean = input.mean,
                .input_deviation = input.deviation,
                .input_range = numeric::largest_input(input.mean, input.deviation),
                .layers = {}};
  }

  Builder& conv(int out, int kernel, int stride, int padding) {
    Layer layer = window(LayerKind::conv2d, "conv", out, kernel, stride, padding);
    layer.activation = quant::Activation::relu;
    fill(layer, layer.in_channels * kernel * kernel);
    return add(std::move(layer));
  }
  Builder& pool(int kernel, int stride) {
    return add(window(LayerKind::max_pool, "pool", channels_, kernel, stride, 0));
  }
  Builder& dense(int out, bool relu = true) {
    Layer layer = window(LayerKind::dense, "dense", out, 1, 1, 0);
    layer.out_height = layer.out_width = 1;
    layer.activation = relu ? quant::Activation::relu : quant::Activation::none;
    fill(layer, channels_ * height_ * width_);
    return add(std::move(layer));
  }
  quant::Network build() {
    dense(network_.classes, false);
    return std::move(network_);
  }

 private:
  Layer window(LayerKind kind, const char* name, int out, int kernel, int stride, int padding) {
    const auto extent = [&](int in) { return (in + 2 * padding - kernel) / stride + 1; };
    Layer layer;
    layer.kind = kind;
    layer.name = name + std::to_string(network_.layers.size() + 1);
    layer.in_channels = channels_;
    layer.in_height = height_;
    layer.in_width = width_;
    layer.out_channels = out;
    layer.out_height = extent(height_);
    layer.out_width = extent(width_);
    layer.kernel = kernel;
    layer.stride = stride;
    layer.padding = padding;
    return layer;
  }

  /// Weights that keep the outputs' spread near 1 (He et al. 2015), so that all codes are taken.
  void fill(Layer& layer, int fan_in) {
    const float bound = std::sqrt(6.0F / static_cast<float>(fan_in));
    layer.weight.resize(extent(layer.out_channels) * extent(fan_in));
    for (float& weight : layer.weight) weight = random_.uniform(-bound, bound);
    const bool norm = purpose_ == Purpose::inference && layer.activation != quant::Activation::none;
    for (int out = 0; out < layer.out_channels; ++out) {
      layer.bias.push_back(random_.uniform(-0.5F, 0.5F));
      if (!norm) continue;
      const float gain = random_.uniform(0.5F, 1.5F);
      layer.gain.push_back(random_.below(4) == 0 ? -gain : gain);
      layer.offset.push_back(random_.uniform(-0.5F, 0.5F));
    }
    layer.output_range = 3;
  }

  Builder& add(Layer layer) {
    channels_ = layer.out_channels;
    height_ = layer.out_height;
    width_ = layer.out_width;
    network_.layers.push_back(std::move(layer));
    return *this;
  }

  SplitMix64 random_;
  Purpose purpose_;
  int channels_, height_, width_;
  quant::Network network_;
};

}  // namespace

quant::Network maps_network(const InputShape& input, Purpose purpose, std::uint64_t seed) {
  Builder builder("maps", input, purpose, seed);
  if (purpose == Purpose::inference) {
    builder.conv(20, 3, 1, 1).pool(3, 1).conv(40, 5, 2, 2).pool(2, 2).conv(9, 1, 1, 0);
  } else {
    builder.conv(24, 3, 1, 1).conv(40, 3, 2, 1).pool(2, 2).conv(9, 1, 1, 0);
  }
  return builder.build();
}

quant::Network vectors_network(const InputShape& input, Purpose purpose, std::uint64_t seed) {
  Builder builder("vectors", input, purpose, seed);
  if (purpose == Purpose::inference) {
    builder.dense(64).dense(960).dense(48).dense(900);
  } else {
    builder.dense(300).dense(200).dense(350);
  }
  return builder.build();
}

quant::Network linear_network(const InputShape& input, Purpose purpose, std::uint64_t seed) {
  return Builder("linear", input, purpose, seed).build();
}

}  // namespace dovetail::verify
