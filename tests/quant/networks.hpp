// Small networks with random weights for the tests of packs and engines, and their float32 outputs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "quant/network.hpp"

namespace dovetail::quant {

/// Builds networks layer by layer, each on what the one before gives.
class NetworkBuilder {
 public:
  NetworkBuilder(std::string model, int channels, int height, int width, unsigned seed)
      : random_(seed), channels_(channels), height_(height), width_(width) {
    network_.model = std::move(model);
    network_.channels = channels;
    network_.height = height;
    network_.width = width;
    for (int c = 0; c < channels; ++c) {
      network_.input_mean.push_back(0.3F + 0.1F * static_cast<float>(c));
      network_.input_deviation.push_back(0.35F);
    }
  }

  NetworkBuilder& conv(int out, int kernel, int stride, int padding) {
    Layer layer = window(LayerKind::conv2d, out, kernel, stride, padding);
    layer.activation = Activation::relu;
    fill(layer, layer.in_channels * kernel * kernel);
    return add(std::move(layer));
  }
  NetworkBuilder& pool(int kernel, int stride) {
    return add(window(LayerKind::max_pool, channels_, kernel, stride, 0));
  }
  NetworkBuilder& dense(int out, bool relu) {
    Layer layer = window(LayerKind::dense, out, 1, 1, 0);
    layer.out_height = layer.out_width = 1;
    layer.activation = relu ? Activation::relu : Activation::none;
    fill(layer, channels_ * height_ * width_);
    return add(std::move(layer));
  }
  Network build(int classes) {
    dense(classes, false);
    network_.classes = classes;
    return network_;
  }

 private:
  Layer window(LayerKind kind, int out, int kernel, int stride, int padding) {
    Layer layer;
    layer.kind = kind;
    layer.name = "layer" + std::to_string(network_.layers.size());
    layer.in_channels = channels_;
    layer.in_height = height_;
    layer.in_width = width_;
    layer.out_channels = out;
    layer.out_height = (height_ + 2 * padding - kernel) / stride + 1;
    layer.out_width = (width_ + 2 * padding - kernel) / stride + 1;
    layer.kernel = kernel;
    layer.stride = stride;
    layer.padding = padding;
    return layer;
  }
  void fill(Layer& layer, int columns) {
    std::normal_distribution<float> weight(0, std::sqrt(2.0F / static_cast<float>(columns)));
    std::normal_distribution<float> bias(0, 0.1F);
    layer.weight.resize(static_cast<std::size_t>(layer.out_channels * columns));
    for (float& w : layer.weight) w = weight(random_);
    for (int o = 0; o < layer.out_channels; ++o) layer.bias.push_back(bias(random_));
  }
  NetworkBuilder& add(Layer layer) {
    channels_ = layer.out_channels;
    height_ = layer.out_height;
    width_ = layer.out_width;
    network_.layers.push_back(std::move(layer));
    return *this;
  }

  std::mt19937 random_;
  int channels_, height_, width_;
  Network network_;
};

inline Network mlp(unsigned seed) {
  return NetworkBuilder("mlp", 1, 28, 28, seed).dense(256, true).dense(128, true).build(10);
}

/// FINN's small fully connected network (Umuroglu et al. 2017).
inline Network sfc(unsigned seed) {
  return NetworkBuilder("sfc", 1, 28, 28, seed)
      .dense(256, true)
      .dense(256, true)
      .dense(256, true)
      .build(10);
}

inline Network cnn(unsigned seed) {
  return NetworkBuilder("cnn", 1, 28, 28, seed)
      .conv(32, 3, 1, 1)
      .pool(2, 2)
      .conv(64, 3, 1, 1)
      .pool(2, 2)
      .dense(128, true)
      .build(10);
}

/// Odd in every extent: 3 input channels, strides, paddings and channels that fit no lane.
inline Network odd(unsigned seed) {
  return NetworkBuilder("odd", 3, 19, 15, seed)
      .conv(21, 5, 2, 2)
      .pool(3, 2)
      .conv(37, 3, 1, 0)
      .conv(9, 1, 1, 0)
      .dense(45, true)
      .build(7);
}

inline std::vector<std::uint8_t> random_images(const Network& network, std::size_t count,
                                               unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> images(
      count * static_cast<std::size_t>(network.channels * network.height * network.width));
  for (auto& pixel : images) pixel = static_cast<std::uint8_t>(random() % 256);
  return images;
}

/// One layer in float64 arithmetic on [channels, height, width].
inline std::vector<double> run_float(const Layer& layer, const std::vector<double>& input) {
  std::vector<double> output;
  const bool dense = layer.kind == LayerKind::dense;
  const int rows = dense ? layer.in_height : layer.kernel,
            columns = dense ? layer.in_width : layer.kernel;
  for (int out = 0; out < layer.out_channels; ++out) {
    for (int y = 0; y < layer.out_height; ++y) {
      for (int x = 0; x < layer.out_width; ++x) {
        double sum = layer.kind == LayerKind::max_pool
                         ? -1e30
                         : double{layer.bias[static_cast<std::size_t>(out)]};
        for (int c = 0; c < layer.in_channels; ++c) {
          if (layer.kind == LayerKind::max_pool && c != out) continue;
          for (int i = 0; i < rows; ++i) {
            for (int j = 0; j < columns; ++j) {
              const int v = y * layer.stride + i - layer.padding,
                        u = x * layer.stride + j - layer.padding;
              if (v < 0 || v >= layer.in_height || u < 0 || u >= layer.in_width) continue;
              const double value =
                  input[static_cast<std::size_t>((c * layer.in_height + v) * layer.in_width + u)];
              if (layer.kind == LayerKind::max_pool) {
                sum = std::max(sum, value);
              } else {
                sum += value * double{layer.weight[static_cast<std::size_t>(
                                   ((out * layer.in_channels + c) * rows + i) * columns + j)]};
              }
            }
          }
        }
        output.push_back(layer.activation == Activation::relu ? std::max(sum, 0.0) : sum);
      }
    }
  }
  return output;
}

/// Logits [count, classes] of the float network. With `calibrated`, widens its ranges to what these
/// images show.
inline std::vector<double> run_float(const Network& network,
                                     const std::vector<std::uint8_t>& images,
                                     Network* calibrated = nullptr) {
  const auto pixels = static_cast<std::size_t>(network.height * network.width);
  const std::size_t image = static_cast<std::size_t>(network.channels) * pixels;
  const auto largest = [](const std::vector<double>& values) {
    double most = 0;
    for (const double value : values) most = std::max(most, std::abs(value));
    return static_cast<float>(most);
  };
  std::vector<double> logits;
  for (std::size_t n = 0; n < images.size() / image; ++n) {
    std::vector<double> values(image);
    for (std::size_t i = 0; i < image; ++i) {
      const std::size_t c = i / pixels;
      values[i] = (images[n * image + i] / 255.0 - double{network.input_mean[c]}) /
                  double{network.input_deviation[c]};
    }
    if (calibrated) calibrated->input_range = std::max(calibrated->input_range, largest(values));
    for (std::size_t l = 0; l < network.layers.size(); ++l) {
      values = run_float(network.layers[l], values);
      if (calibrated) {
        float& range = calibrated->layers[l].output_range;
        range = std::max(range, largest(values));
      }
    }
    logits.insert(logits.end(), values.begin(), values.end());
  }
  return logits;
}

/// The network with its ranges as `images` random images show them.
inline Network calibrate(Network network, std::size_t images = 4) {
  Network calibrated = network;
  run_float(network, random_images(network, images, 99), &calibrated);
  return calibrated;
}

}  // namespace dovetail::quant
