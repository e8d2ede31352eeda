// Walks the layers forward and back with the twins of the kernels.
#include "infer/reference_gradients.hpp"

#include <algorithm>

#include "numeric/training_layout.hpp"
#include "ops/reference/training.hpp"

namespace dovetail::infer {
namespace {

using quant::TrainingLayer;
using quant::TrainingNetwork;
using reference::CodeMaps;
using reference::RealMaps;

int stored_outputs(const TrainingLayer& layer) {
  return training::output_tiles(layer.out_channels) * training::pe;
}

CodeMaps weights_of(const TrainingLayer& layer) {
  CodeMaps weights(layer.out_channels, layer.in_channels, layer.rows(), layer.columns());
  for (std::size_t i = 0; i < layer.codes.size(); ++i) {
    weights.values[i].code = layer.codes[i];
    if (!layer.exponents.empty()) weights.values[i].exponent = layer.exponents[layer.block_of(i)];
  }
  return weights;
}

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

void add(const std::vector<float>& from, std::vector<float>& to) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace

ReferenceGradients::ReferenceGradients(GradientOptions options) : options_(std::move(options)) {
  checked_format(options_);
}

void ReferenceGradients::load(const quant::WeightPack& pack) {
  TrainingNetwork network = quant::parse_training(pack);
  check_loaded_format(network, options_);
  network_ = std::move(network);
}

GradientSums ReferenceGradients::gradients(std::span<const std::uint8_t> images,
                                           std::span<const std::int32_t> labels,
                                           std::uint64_t draw) {
  check_samples(network_, images, labels);
  GradientSums sums = empty_sums(network_);
  const std::size_t batch = pass_samples(network_, options_);
  for (std::size_t first = 0; first < labels.size(); first += batch) {
    const std::size_t count = std::min(batch, labels.size() - first);
    const std::size_t image = images.size() / labels.size();
    add_pass(images.subspan(first * image, count * image), labels.subspan(first, count),
             draw + first, sums);
  }
  rounding_.round(options_, draw, sums);
  return sums;
}

void ReferenceGradients::add_pass(std::span<const std::uint8_t> images,
                                  std::span<const std::int32_t> labels, std::uint64_t draw,
                                  GradientSums& sums) const {
  const quant::TrainingFormat& format = network_.format;
  const reference::TrainingNumbers numbers{format.blocks, format.bits};
  const std::vector<TrainingLayer>& layers = network_.layers;
  const auto step_of = [&](const TrainingLayer& layer) {
    return reference::TrainingStep{layer.stride, layer.padding, numbers};
  };

  const RealMaps input = input_maps(network_, images, static_cast<int>(labels.size()));
  std::vector<float> steps{format.step(largest_of(normalised_tables(network_)))};
  std::vector<CodeMaps> inputs{quantise_channels(
      input, {.numbers = numbers, .inverse = 1 / steps[0]}, layers.front().in_channels)};
  outputs_.codes("train_quantise_images", layers.front().name + " input", format.blocks, inputs[0]);
  std::vector<reference::Activated> outputs;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const TrainingLayer& layer = layers[i];
    outputs.push_back(training_activation(training_forward(inputs[i], weights_of(layer), layer.bias,
                                                           step_of(layer), steps[i] * layer.step),
                                          layer.pool, layer.relu));
    outputs_.reals("train_forward", layer.name, outputs.back().real.values);
    outputs_.routes("train_forward", layer.name, outputs.back().routes);
    if (i + 1 == layers.size()) break;
    const RealMaps& real = outputs.back().real;
    steps.push_back(format.step(largest_magnitude(real)));
    inputs.push_back(quantise_channels(real, {.numbers = numbers, .inverse = 1 / steps.back()},
                                       stored_outputs(layer)));
    outputs_.codes("train_quantise", layers[i + 1].name + " input", format.blocks, inputs.back());
  }

  RealMaps gradient = outputs.back().real;
  gradient.values = loss_gradient(gradient.values, labels, sums);
  for (std::size_t i = layers.size(); i-- > 0;) {
    const TrainingLayer& layer = layers[i];
    const auto tensor = static_cast<std::uint32_t>(i * 3);
    const float step = format.step(largest_magnitude(gradient));
    const CodeMaps codes = quantise_channels(
        unpool(gradient, outputs[i].routes, layer.pool, layer.out_height, layer.out_width),
        {.numbers = numbers,
         .inverse = 1 / step,
         .stochastic = options_.stochastic,
         .key = random_key(options_.seed, draw, tensor)},
        stored_outputs(layer));
    outputs_.codes("train_quantise", layer.name + " gradient", format.blocks, codes);
    const reference::WeightGradient weights = training_weight_gradient(
        inputs[i], codes, step_of(layer), layer.rows(), layer.columns(), steps[i] * step, step,
        {.numbers = numbers,
         .stochastic = options_.stochastic,
         .key = random_key(options_.seed, draw, tensor + 1)},
        stored_outputs(layer));
    outputs_.reals("train_weight_gradient", layer.name, weights.weight.values);
    outputs_.reals("train_weight_gradient", layer.name + " bias", weights.bias);
    add(weights.weight.values, sums.parameters[2 * i].value.values);
    add(weights.bias, sums.parameters[2 * i + 1].value.values);
    if (i == 0) break;
    gradient = training_input_gradient(codes, weights_of(layer), step_of(layer), layer.in_height,
                                       layer.in_width, step * layer.step);
    mask_stopped(outputs[i - 1].routes, gradient);
    outputs_.reals("train_input_gradient", layer.name, gradient.values);
  }
}

}  // namespace dovetail::infer
