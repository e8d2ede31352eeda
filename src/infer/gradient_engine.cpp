// Lays a network out for the training kernels and launches its passes.
#include "infer/gradient_engine.hpp"

#include <algorithm>

#include "infer/training_memory.hpp"
#include "numeric/training_layout.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::infer {
namespace {

using quant::TrainingLayer;
using quant::TrainingNetwork;

// Positions of the kernels' pointers, as in hls/training/training.json.in. Buffers that kernels
// share lie in the same bank for each of them.
constexpr int quantise_codes = 2;
constexpr int sums_weight = 2, sums_bias = 3;

std::size_t usable_units(int compute_units) {
  return static_cast<std::size_t>(
      std::clamp(compute_units, 1, static_cast<int>(ForwardPass::most_units)));
}

}  // namespace

std::string gradient_kernels(const std::string& format) {
  return "training_" + quant::training_format(format).family;
}

/// One trip of up to max_batch samples through the network and back.
struct GradientEngine::Pass {
  std::span<const std::uint8_t> images;
  std::span<const std::int32_t> labels;
  std::uint64_t draw = 0;

  int batch() const { return static_cast<int>(labels.size()); }
};

GradientEngine::GradientEngine(fpga::Card& card, GradientOptions options, int compute_units)
    : card_(card), options_(std::move(options)), forward_(card, usable_units(compute_units)) {
  checked_format(options_);
  for (std::size_t u = 0; u < usable_units(compute_units); ++u) {
    units_.push_back({card.kernel("train_input_gradient"), card.kernel("train_weight_gradient")});
  }
}

void GradientEngine::load(const quant::WeightPack& pack) {
  TrainingNetwork network = quant::parse_training(pack);
  check_loaded_format(network, options_);
  const std::size_t batch = pass_samples(network, options_.max_batch);
  if (same_shape(network, forward_.network())) {
    forward_.load(std::move(network), batch);
    return;
  }
  std::vector<Step> steps = allocate(network);
  forward_.load(std::move(network), batch);
  steps_ = std::move(steps);
  rounding_.forget();
}

std::vector<GradientEngine::Step> GradientEngine::allocate(const TrainingNetwork& network) {
  const std::size_t batch = pass_samples(network, options_.max_batch);
  std::vector<Step> steps;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const CardLayer layer = card_layer(network, i);
    const fpga::Kernel& unit = units_.front().weight_gradient;
    Step step;
    step.gradient =
        card_.allocate(batch * layer.gradient_bytes(), forward_.quantise(), quantise_codes);
    step.weight_sums = card_.allocate(layer.weight_sum_bytes(), unit, sums_weight);
    step.bias_sums = card_.allocate(layer.bias_bytes(), unit, sums_bias);
    steps.push_back(std::move(step));
  }
  return steps;
}

GradientSums GradientEngine::gradients(std::span<const std::uint8_t> images,
                                       std::span<const std::int32_t> labels, std::uint64_t draw) {
  const TrainingNetwork& network = forward_.network();
  check_samples(network, images, labels);
  GradientSums sums = empty_sums(network);
  const std::size_t batch = pass_samples(network, options_.max_batch);
  for (std::size_t first = 0; first < labels.size(); first += batch) {
    const std::size_t count = std::min(batch, labels.size() - first);
    const std::size_t image = images.size() / labels.size();
    add_pass(
        {images.subspan(first * image, count * image), labels.subspan(first, count), draw + first},
        sums);
  }
  rounding_.round(options_, draw, sums);
  return sums;
}

void GradientEngine::add_pass(const Pass& pass, GradientSums& sums) {
  forward_.run(pass.images, pass.labels.size());
  if (outputs_) show_forward(pass.batch());
  differentiate_loss(pass, sums);
  for (std::size_t i = steps_.size(); i-- > 0;) backward(pass, i, sums);
}

void GradientEngine::differentiate_loss(const Pass& pass, GradientSums& sums) {
  const CardLayer last = card_layer(forward_.network(), steps_.size() - 1);
  const auto row = static_cast<std::size_t>(last.out_words() * training::simd);
  const auto classes = static_cast<std::size_t>(forward_.network().classes);
  const std::vector<float> gradient =
      loss_gradient(forward_.logits(pass.labels.size()), pass.labels, sums);
  std::vector<float> stored(pass.labels.size() * row);
  for (std::size_t i = 0; i < gradient.size(); ++i)
    stored[i / classes * row + i % classes] = gradient[i];
  forward_.steps().back().real.write(stored.data(), stored.size() * sizeof(float));
  gradient_largest_ = largest_of(gradient);
}

void GradientEngine::backward(const Pass& pass, std::size_t index, GradientSums& sums) {
  const TrainingNetwork& network = forward_.network();
  const TrainingLayer& layer = network.layers[index];
  const CardLayer on_card = card_layer(network, index);
  const quant::TrainingFormat& format = network.format;
  const ForwardPass::Step& there = forward_.steps()[index];
  Step& step = steps_[index];
  const std::int32_t stochastic = options_.stochastic ? 1 : 0;
  const auto tensor = static_cast<std::uint32_t>(index * 3);
  const float gradient_step = format.step(gradient_largest_);
  forward_.quantise().run(there.real, there.routes, step.gradient, pass.batch(), layer.out_height,
                          layer.out_width, on_card.out_words(), layer.pool, 1, 1 / gradient_step,
                          format.bits, stochastic, random_key(options_.seed, pass.draw, tensor));
  show_gradient(index, pass.batch());

  const Shares tiles(on_card.tiles, units_.size());
  in_parallel(units_, tiles.parts(), [&](Unit& unit, std::size_t part) {
    unit.weight_gradient.run(
        there.input, step.gradient, step.weight_sums, step.bias_sums, pass.batch(),
        on_card.in_height, on_card.in_width, on_card.in_words, tiles.first(part), tiles.count(part),
        on_card.tiles, layer.kernel, layer.stride, layer.padding, there.input_step * gradient_step,
        gradient_step, format.bits, stochastic, random_key(options_.seed, pass.draw, tensor + 1));
  });
  add_sums(index, sums);
  if (index == 0) return;

  const ForwardPass::Step& before = forward_.steps()[index - 1];
  const Shares shares(pass.batch(), units_.size());
  in_parallel(units_, shares.parts(), [&](Unit& unit, std::size_t part) {
    unit.input_gradient.run(
        step.gradient, there.weights, before.routes, before.real, forward_.largest(),
        shares.first(part), shares.count(part), layer.out_height, layer.out_width, on_card.tiles,
        on_card.in_height, on_card.in_width, on_card.in_words, layer.kernel, layer.stride,
        layer.padding, format.bits, gradient_step * layer.step, static_cast<std::int32_t>(part));
  });
  gradient_largest_ = forward_.read_largest(shares.parts());
  show_input_gradient(index, pass.batch());
}

void GradientEngine::add_sums(std::size_t index, GradientSums& sums) {
  const CardLayer on_card = card_layer(forward_.network(), index);
  std::vector<float> weight(on_card.weight_sum_bytes() / sizeof(float));
  std::vector<float> bias(on_card.bias_bytes() / sizeof(float));
  steps_[index].weight_sums.read_checked(weight.data(), on_card.weight_sum_bytes());
  steps_[index].bias_sums.read_checked(bias.data(), on_card.bias_bytes());
  const TrainingLayer& layer = forward_.network().layers[index];
  add_weight_sums(layer, on_card, weight, sums.parameters[2 * index].value.values);
  std::vector<float>& bias_sums = sums.parameters[2 * index + 1].value.values;
  for (std::size_t o = 0; o < bias_sums.size(); ++o) bias_sums[o] += bias[o];
  if (!outputs_) return;
  std::vector<float> of_pass(layer.weight_count());
  add_weight_sums(layer, on_card, weight, of_pass);
  outputs_.reals("train_weight_gradient", layer.name, of_pass);
  bias.resize(bias_sums.size());
  outputs_.reals("train_weight_gradient", layer.name + " bias", bias);
}

}  // namespace dovetail::infer
