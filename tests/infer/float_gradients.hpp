// The float64 gradient of a network's cross-entropy, by the reference operations.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ops/reference/conv2d.hpp"
#include "ops/reference/loss.hpp"
#include "ops/reference/pool2d.hpp"
#include "quant/network.hpp"

namespace dovetail::infer {

using Values = std::vector<double>;

/// A dense layer is a convolution whose kernel covers its map; kernels here are square, so a dense
/// layer takes its map flattened.
inline reference::Conv2dExtents extents(const quant::Layer& layer, int batch) {
  if (layer.kind == quant::LayerKind::dense) {
    const int inputs = layer.in_channels * layer.in_height * layer.in_width;
    return {batch, inputs, layer.out_channels, 1, 1, 1, 1, 0};
  }
  return {batch,          layer.in_channels, layer.out_channels, layer.in_height,
          layer.in_width, layer.kernel,      layer.stride,       layer.padding};
}

inline reference::Pool pool_of(const quant::Layer& layer, int batch) {
  return {static_cast<std::size_t>(batch * layer.in_channels),
          static_cast<std::size_t>(layer.in_height), static_cast<std::size_t>(layer.in_width),
          static_cast<std::size_t>(layer.kernel), static_cast<std::size_t>(layer.stride)};
}

/// Gradient sums of weight and bias of every layer that has them, in order.
inline std::vector<Values> float_gradients(const quant::Network& network,
                                           const std::vector<std::uint8_t>& images,
                                           const std::vector<std::int32_t>& labels) {
  const auto batch = static_cast<int>(labels.size());
  const auto plane = static_cast<std::size_t>(network.height * network.width);
  const auto wide = [](const std::vector<float>& v) { return Values(v.begin(), v.end()); };
  std::vector<Values> inputs(1);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const std::size_t c = i / plane % static_cast<std::size_t>(network.channels);
    inputs[0].push_back((images[i] / 255.0 - double{network.input_mean[c]}) /
                        double{network.input_deviation[c]});
  }
  for (const quant::Layer& layer : network.layers) {
    if (layer.kind == quant::LayerKind::max_pool) {
      inputs.push_back(max_pool(pool_of(layer, batch), inputs.back()));
    } else {
      inputs.push_back(conv2d(extents(layer, batch), inputs.back(), wide(layer.weight),
                              wide(layer.bias), layer.activation == quant::Activation::relu));
    }
  }
  Values gradient = reference::softmax_cross_entropy(inputs.back(), labels).gradient;
  std::vector<Values> result;
  for (std::size_t l = network.layers.size(); l-- > 0;) {
    const quant::Layer& layer = network.layers[l];
    const Values& x = inputs[l];
    if (layer.kind == quant::LayerKind::max_pool) {
      gradient = max_pool_gradient(pool_of(layer, batch), x, gradient);
      continue;
    }
    if (layer.activation == quant::Activation::relu) {
      for (std::size_t i = 0; i < gradient.size(); ++i)
        if (inputs[l + 1][i] <= 0) gradient[i] = 0;
    }
    const auto e = extents(layer, batch);
    result.push_back(conv2d_bias_gradient(e, gradient));
    result.push_back(conv2d_weight_gradient(e, x, gradient));
    gradient = conv2d_input_gradient(e, gradient, wide(layer.weight), x, false);
  }
  std::reverse(result.begin(), result.end());
  return result;
}

}  // namespace dovetail::infer
