// Walks the layers forward with the twins of the kernels.
#include "infer/reference_forward.hpp"

#include "infer/gradient_step.hpp"
#include "numeric/training_layout.hpp"

namespace dovetail::infer {
namespace {

using quant::TrainingLayer;
using quant::TrainingNetwork;
using reference::CodeMaps;
using reference::RealMaps;

/// Normalised images in the shape that the first layer takes.
RealMaps input_maps(const TrainingNetwork& network, std::span<const std::uint8_t> images,
                    int count) {
  const std::vector<float> tables = normalised_tables(network);
  const TrainingLayer& first = network.layers.front();
  RealMaps maps(count, first.in_channels, first.in_height, first.in_width);
  const auto plane = static_cast<std::size_t>(network.height * network.width);
  const auto image = plane * static_cast<std::size_t>(network.channels);
  for (std::size_t i = 0; i < maps.values.size(); ++i)
    maps.values[i] = tables[i % image / plane * 256 + images[i]];
  return maps;
}

}  // namespace

reference::TrainingNumbers numbers_of(const quant::TrainingFormat& format) {
  return {format.blocks, format.bits};
}

reference::TrainingStep step_of(const TrainingLayer& layer, const quant::TrainingFormat& format) {
  return {layer.stride, layer.padding, numbers_of(format)};
}

CodeMaps weights_of(const TrainingLayer& layer) {
  CodeMaps weights(layer.out_channels, layer.in_channels, layer.rows(), layer.columns());
  for (std::size_t i = 0; i < layer.codes.size(); ++i) {
    weights.values[i].code = layer.codes[i];
    if (!layer.exponents.empty()) weights.values[i].exponent = layer.exponents[layer.block_of(i)];
  }
  return weights;
}

int stored_outputs(const TrainingLayer& layer) {
  return training::output_tiles(layer.out_channels) * training::pe;
}

ReferenceForward forward_reference(const TrainingNetwork& network,
                                   std::span<const std::uint8_t> images, std::size_t count) {
  const quant::TrainingFormat& format = network.format;
  const std::vector<TrainingLayer>& layers = network.layers;
  const auto quantise = [&](const RealMaps& real, float step, int stored) {
    return quantise_channels(real, {.numbers = numbers_of(format), .inverse = 1 / step}, stored);
  };
  ReferenceForward pass;
  pass.steps.push_back(format.step(largest_of(normalised_tables(network))));
  pass.inputs.push_back(quantise(input_maps(network, images, static_cast<int>(count)),
                                 pass.steps[0], layers.front().in_channels));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const TrainingLayer& layer = layers[i];
    pass.outputs.push_back(
        training_activation(training_forward(pass.inputs[i], weights_of(layer), layer.bias,
                                             step_of(layer, format), pass.steps[i] * layer.step),
                            layer.pool, layer.relu));
    if (i + 1 == layers.size()) break;
    const RealMaps& real = pass.outputs.back().real;
    pass.steps.push_back(layer.output_step(format, largest_magnitude(real)));
    pass.inputs.push_back(quantise(real, pass.steps.back(), stored_outputs(layer)));
  }
  return pass;
}

}  // namespace dovetail::infer
