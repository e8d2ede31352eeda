// Walks the layers of a pack with the twins of the kernels.
#include "infer/reference_engine.hpp"

#include "ops/reference/integer.hpp"

namespace dovetail::infer {
namespace {

/// A layer's weights back in the canonical layout; a dense layer's columns in [channels, height,
/// width] order.
reference::IntegerFilter filter_of(const quant::PackedLayer& layer) {
  const bool conv = layer.kind == quant::LayerKind::conv2d;
  const int rows = conv ? layer.kernel : layer.in_height;
  const int columns = conv ? layer.kernel : layer.in_width;
  reference::IntegerFilter filter;
  filter.in = conv ? layer.in_channels : layer.in_channels * rows * columns;
  filter.out = layer.out_channels;
  filter.kernel = conv ? layer.kernel : 1;
  filter.bits = layer.out_bits;
  for (int out = 0; out < layer.out_channels; ++out) {
    for (int in = 0; in < layer.in_channels; ++in) {
      for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; ++column) {
          filter.weight.push_back(static_cast<std::int8_t>(layer.weight(out, in, row, column)));
        }
      }
    }
    const quant::Channel channel = layer.channel(out);
    reference::IntegerActivation activation;
    activation.bias = channel.bias;
    activation.multiplier = channel.factor.multiplier;
    activation.shift = channel.factor.shift;
    if (layer.activation == quant::Activation::relu) activation.low = 0;
    activation.thresholds = channel.thresholds;
    activation.downwards = channel.downwards;
    filter.activation.push_back(std::move(activation));
  }
  return filter;
}

std::vector<std::int32_t> widened(const reference::IntegerMaps& maps) {
  return {maps.values.begin(), maps.values.end()};
}

}  // namespace

std::vector<LayerOutput> reference_outputs(const quant::PackedNetwork& network,
                                           std::span<const std::uint8_t> images,
                                           std::size_t count) {
  const int batch = static_cast<int>(count);
  reference::IntegerMaps maps(batch, network.channels, network.height, network.width);
  reference::quantise_input(images.data(), network.input_tables.data(), maps);
  std::vector<LayerOutput> outputs{{"quantise_input", "input", false, widened(maps)}};
  for (const quant::PackedLayer& layer : network.layers) {
    if (&layer == &network.layers.back()) {
      outputs.push_back({"dense", layer.name, false, {}});
      reference::dense_raw(maps, filter_of(layer), outputs.back().values);
      break;
    }
    reference::IntegerMaps output(batch, layer.out_channels, layer.out_height, layer.out_width);
    if (layer.kind == quant::LayerKind::max_pool) {
      reference::max_pool(maps, layer.kernel, layer.stride, output);
    } else if (layer.kind == quant::LayerKind::conv2d) {
      reference::conv2d(maps, filter_of(layer), layer.stride, layer.padding, output);
    } else {
      reference::dense(maps, filter_of(layer), output);
    }
    maps = std::move(output);
    outputs.push_back({to_string(layer.kind), layer.name, false, widened(maps)});
  }
  return outputs;
}

std::vector<float> run_reference(const quant::PackedNetwork& network,
                                 std::span<const std::uint8_t> images, std::size_t count) {
  const std::vector<std::int32_t> raw = reference_outputs(network, images, count).back().values;
  const quant::PackedLayer& last = network.layers.back();
  const auto classes = static_cast<std::size_t>(network.classes);
  std::vector<float> logits(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) logits[i] = last.logit(i % classes, raw[i]);
  return logits;
}

}  // namespace dovetail::infer
