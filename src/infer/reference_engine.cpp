// Walks the layers of a pack with the twins of the kernels.
#include "infer/reference_engine.hpp"

#include "ops/reference/int8.hpp"

namespace dovetail::infer {
namespace {

/// A layer's weights back in the canonical layout; a dense layer's columns in [channels, height,
/// width] order.
reference::Int8Filter filter_of(const quant::PackedLayer& layer) {
  const bool conv = layer.kind == quant::LayerKind::conv2d;
  const int rows = conv ? layer.kernel : layer.in_height;
  const int columns = conv ? layer.kernel : layer.in_width;
  reference::Int8Filter filter;
  filter.in = conv ? layer.in_channels : layer.in_channels * rows * columns;
  filter.out = layer.out_channels;
  filter.kernel = conv ? layer.kernel : 1;
  filter.relu = layer.activation == quant::Activation::relu;
  for (int out = 0; out < layer.out_channels; ++out) {
    for (int in = 0; in < layer.in_channels; ++in) {
      for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; ++column) {
          filter.weight.push_back(layer.weight(out, in, row, column));
        }
      }
    }
    const quant::PackedLayer::Channel channel = layer.channel(out);
    filter.bias.push_back(channel.bias);
    filter.multiplier.push_back(channel.factor.multiplier);
    filter.shift.push_back(channel.factor.shift);
  }
  return filter;
}

}  // namespace

std::vector<float> run_reference(const quant::PackedNetwork& network,
                                 std::span<const std::uint8_t> images, std::size_t count) {
  const int batch = static_cast<int>(count);
  reference::Int8Maps maps(batch, network.channels, network.height, network.width);
  reference::quantise_input_int8(images.data(), network.input_tables.data(), maps);
  std::vector<std::int32_t> raw;
  for (const quant::PackedLayer& layer : network.layers) {
    reference::Int8Maps output(batch, layer.out_channels, layer.out_height, layer.out_width);
    if (layer.kind == quant::LayerKind::max_pool) {
      reference::max_pool_int8(maps, layer.kernel, layer.stride, output);
    } else if (layer.kind == quant::LayerKind::conv2d) {
      reference::conv2d_int8(maps, filter_of(layer), layer.stride, layer.padding, output);
    } else if (&layer != &network.layers.back()) {
      reference::dense_int8(maps, filter_of(layer), output);
    } else {
      reference::dense_int8_raw(maps, filter_of(layer), raw);
    }
    maps = std::move(output);
  }
  const std::vector<float>& scales = network.layers.back().scales;
  std::vector<float> logits(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i)
    logits[i] = static_cast<float>(raw[i]) * scales[i % scales.size()];
  return logits;
}

}  // namespace dovetail::infer
