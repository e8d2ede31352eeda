// Walks the layers forward and back with the twins of the kernels.
#include "infer/reference_gradients.hpp"

#include <algorithm>

#include "infer/reference_forward.hpp"

namespace dovetail::infer {
namespace {

using quant::TrainingLayer;
using quant::TrainingNetwork;
using reference::CodeMaps;
using reference::RealMaps;

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
  const std::size_t batch = pass_samples(network_, options_.max_batch);
  for (std::size_t first = 0; first < labels.size(); first += batch) {
    const std::size_t count = std::min(batch, labels.size() - first);
    const std::size_t image = images.size() / labels.size();
    add_pass(images.subspan(first * image, count * image), labels.subspan(first, count),
             draw + first, sums);
  }
  rounding_.round(options_, draw, sums);
  return sums;
}

void ReferenceGradients::show_forward(const ReferenceForward& pass) const {
  const bool blocks = network_.format.blocks;
  for (std::size_t i = 0; i < pass.outputs.size(); ++i) {
    const std::string& layer = network_.layers[i].name;
    outputs_.codes(i == 0 ? "train_quantise_images" : "train_quantise", layer + " input", blocks,
                   pass.inputs[i]);
    outputs_.reals("train_forward", layer, pass.outputs[i].real.values);
    outputs_.routes("train_forward", layer, pass.outputs[i].routes);
  }
}

void ReferenceGradients::add_pass(std::span<const std::uint8_t> images,
                                  std::span<const std::int32_t> labels, std::uint64_t draw,
                                  GradientSums& sums) const {
  const quant::TrainingFormat& format = network_.format;
  const std::vector<TrainingLayer>& layers = network_.layers;
  const ReferenceForward pass = forward_reference(network_, images, labels.size());
  const std::vector<float>& steps = pass.steps;
  const std::vector<CodeMaps>& inputs = pass.inputs;
  const std::vector<reference::Activated>& outputs = pass.outputs;
  if (outputs_) show_forward(pass);

  RealMaps gradient = outputs.back().real;
  gradient.values = loss_gradient(gradient.values, labels, sums);
  for (std::size_t i = layers.size(); i-- > 0;) {
    const TrainingLayer& layer = layers[i];
    const auto tensor = static_cast<std::uint32_t>(i * 3);
    const float step = format.step(largest_magnitude(gradient));
    const CodeMaps codes = quantise_channels(
        unpool(gradient, outputs[i].routes, layer.pool, layer.out_height, layer.out_width),
        {.numbers = numbers_of(format),
         .inverse = 1 / step,
         .stochastic = options_.stochastic,
         .key = random_key(options_.seed, draw, tensor)},
        stored_outputs(layer));
    outputs_.codes("train_quantise", layer.name + " gradient", format.blocks, codes);
    const reference::WeightGradient weights =
        training_weight_gradient(inputs[i], codes, step_of(layer, format), layer.rows(),
                                 layer.columns(), steps[i] * step, step,
                                 {.numbers = numbers_of(format),
                                  .stochastic = options_.stochastic,
                                  .key = random_key(options_.seed, draw, tensor + 1)},
                                 stored_outputs(layer));
    outputs_.reals("train_weight_gradient", layer.name, weights.weight.values);
    outputs_.reals("train_weight_gradient", layer.name + " bias", weights.bias);
    add(weights.weight.values, sums.parameters[2 * i].value.values);
    add(weights.bias, sums.parameters[2 * i + 1].value.values);
    if (i == 0) break;
    gradient = training_input_gradient(codes, weights_of(layer), step_of(layer, format),
                                       layer.in_height, layer.in_width, step * layer.step);
    mask_stopped(outputs[i - 1].routes, gradient);
    outputs_.reals("train_input_gradient", layer.name, gradient.values);
  }
}

}  // namespace dovetail::infer
