// Lays a network out for the training kernels and launches its passes.
#include "infer/gradient_engine.hpp"

#include <algorithm>
#include <cstring>
#include <future>

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
constexpr int image_pixels = 0, image_tables = 1, image_codes = 2;
constexpr int forward_weights = 1, forward_bias = 2, forward_output = 3, forward_routes = 4,
              forward_largest = 5;
constexpr int quantise_codes = 2;
constexpr int sums_weight = 2, sums_bias = 3;

constexpr std::size_t most_units = 16;

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
    : card_(card),
      options_(std::move(options)),
      quantise_images_(card.kernel("train_quantise_images")),
      quantise_(card.kernel("train_quantise")) {
  checked_format(options_);
  const std::size_t units =
      std::clamp<std::size_t>(static_cast<std::size_t>(std::max(compute_units, 1)), 1, most_units);
  for (std::size_t u = 0; u < units; ++u) {
    units_.push_back({card.kernel("train_forward"), card.kernel("train_input_gradient"),
                      card.kernel("train_weight_gradient")});
  }
}

void GradientEngine::load(const quant::WeightPack& pack) {
  TrainingNetwork network = quant::parse_training(pack);
  check_loaded_format(network, options_);
  if (!same_shape(network, network_)) allocate(network);
  write_weights(network);
  network_ = std::move(network);
}

void GradientEngine::allocate(const TrainingNetwork& network) {
  const std::size_t batch = pass_samples(network, options_);
  const Unit& unit = units_.front();
  const std::size_t staged = staged_image_bytes(network);
  fpga::Buffer images = card_.allocate(batch * staged, quantise_images_, image_pixels);
  fpga::Buffer tables = card_.allocate(static_cast<std::size_t>(network.channels) * 256 * 4,
                                       quantise_images_, image_tables);
  fpga::Buffer largest =
      card_.allocate(most_units * training::burst_bytes, unit.forward, forward_largest);
  std::vector<Step> steps;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const CardLayer layer = card_layer(network, i);
    Step step;
    step.input = card_.allocate(batch * layer.input_bytes(), quantise_images_, image_codes);
    step.weights = card_.allocate(layer.weight_bytes(), unit.forward, forward_weights);
    step.bias = card_.allocate(layer.bias_bytes(), unit.forward, forward_bias);
    step.real = card_.allocate(batch * layer.real_bytes(), unit.forward, forward_output);
    step.routes = card_.allocate(batch * layer.route_bytes(), unit.forward, forward_routes);
    step.gradient = card_.allocate(batch * layer.gradient_bytes(), quantise_, quantise_codes);
    step.weight_sums = card_.allocate(layer.weight_sum_bytes(), unit.weight_gradient, sums_weight);
    step.bias_sums = card_.allocate(layer.bias_bytes(), unit.weight_gradient, sums_bias);
    steps.push_back(std::move(step));
  }
  images_ = std::move(images);
  tables_ = std::move(tables);
  largest_ = std::move(largest);
  steps_ = std::move(steps);
  staged_images_.assign(batch * staged, 0);
  network_ = {};  // the card no longer holds its weights
  rounding_.forget();
}

void GradientEngine::write_weights(const TrainingNetwork& network) {
  const std::vector<float> tables = normalised_tables(network);
  tables_.write(tables.data(), tables.size() * sizeof(float));
  steps_.front().input_step = network.format.step(largest_of(tables));
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const std::vector<std::uint8_t> squares = weight_squares(network, i);
    const std::vector<float> bias = stored_bias(network.layers[i]);
    steps_[i].weights.write(squares.data(), squares.size());
    steps_[i].bias.write(bias.data(), bias.size() * sizeof(float));
  }
}

GradientSums GradientEngine::gradients(std::span<const std::uint8_t> images,
                                       std::span<const std::int32_t> labels, std::uint64_t draw) {
  check_samples(network_, images, labels);
  GradientSums sums = empty_sums(network_);
  const std::size_t batch = pass_samples(network_, options_);
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
  write_images(pass);
  for (std::size_t i = 0; i < steps_.size(); ++i) forward(pass, i);
  differentiate_loss(pass, sums);
  for (std::size_t i = steps_.size(); i-- > 0;) backward(pass, i, sums);
}

template <typename Body>
void GradientEngine::in_parallel(std::size_t parts, Body&& body) {
  std::vector<std::future<void>> others;
  for (std::size_t part = 1; part < parts; ++part)
    others.push_back(std::async(std::launch::async, [&, part] { body(units_[part], part); }));
  body(units_[0], 0);
  for (std::future<void>& other : others) other.get();
}

float GradientEngine::read_largest(std::size_t parts) {
  constexpr std::size_t per_burst = training::burst_bytes / sizeof(float);
  std::vector<float> values(parts * per_burst);
  largest_.read(values.data(), values.size() * sizeof(float));
  float largest = 0;
  for (std::size_t part = 0; part < parts; ++part)
    largest = largest < values[part * per_burst] ? values[part * per_burst] : largest;
  return largest;
}

void GradientEngine::write_images(const Pass& pass) {
  const std::size_t image = pass.images.size() / pass.labels.size();
  const std::size_t staged = staged_image_bytes(network_);
  for (std::size_t n = 0; n < pass.labels.size(); ++n)
    std::memcpy(&staged_images_[n * staged], &pass.images[n * image], image);
  images_.write(staged_images_.data(), pass.labels.size() * staged);
  const TrainingLayer& first = network_.layers.front();
  quantise_images_.run(images_, tables_, steps_.front().input, pass.batch(),
                       first.in_height * first.in_width, first.in_channels,
                       network_.height * network_.width, 1 / steps_.front().input_step,
                       network_.format.bits);
  show_input(0, "train_quantise_images", pass.batch());
}

void GradientEngine::forward(const Pass& pass, std::size_t index) {
  const TrainingLayer& layer = network_.layers[index];
  const CardLayer on_card = card_layer(network_, index);
  Step& step = steps_[index];
  const float scale = step.input_step * layer.step;
  const Shares shares(pass.batch(), units_.size());
  in_parallel(shares.parts(), [&](Unit& unit, std::size_t part) {
    unit.forward.run(step.input, step.weights, step.bias, step.real, step.routes, largest_,
                     shares.first(part), shares.count(part), on_card.in_height, on_card.in_width,
                     on_card.in_words, on_card.tiles, layer.kernel, layer.stride, layer.padding,
                     layer.pool, layer.relu ? 1 : 0, scale, static_cast<std::int32_t>(part));
  });
  show_output(index, pass.batch());
  if (index + 1 == steps_.size()) return;
  Step& next = steps_[index + 1];
  next.input_step = network_.format.step(read_largest(shares.parts()));
  quantise_.run(step.real, step.routes, next.input, pass.batch(), layer.pooled_height(),
                layer.pooled_width(), on_card.out_words(), 1, 0, 1 / next.input_step,
                network_.format.bits, 0, std::uint32_t{0});
  show_input(index + 1, "train_quantise", pass.batch());
}

void GradientEngine::differentiate_loss(const Pass& pass, GradientSums& sums) {
  const CardLayer last = card_layer(network_, steps_.size() - 1);
  const auto row = static_cast<std::size_t>(last.out_words() * training::simd);
  const auto classes = static_cast<std::size_t>(network_.classes);
  std::vector<float> stored(pass.labels.size() * row), logits;
  steps_.back().real.read(stored.data(), stored.size() * sizeof(float));
  for (std::size_t n = 0; n < pass.labels.size(); ++n) {
    const auto from = stored.begin() + static_cast<std::ptrdiff_t>(n * row);
    logits.insert(logits.end(), from, from + static_cast<std::ptrdiff_t>(classes));
  }
  const std::vector<float> gradient = loss_gradient(logits, pass.labels, sums);
  std::fill(stored.begin(), stored.end(), 0.0F);
  for (std::size_t i = 0; i < gradient.size(); ++i)
    stored[i / classes * row + i % classes] = gradient[i];
  steps_.back().real.write(stored.data(), stored.size() * sizeof(float));
  gradient_largest_ = largest_of(gradient);
}

void GradientEngine::backward(const Pass& pass, std::size_t index, GradientSums& sums) {
  const TrainingLayer& layer = network_.layers[index];
  const CardLayer on_card = card_layer(network_, index);
  const quant::TrainingFormat& format = network_.format;
  Step& step = steps_[index];
  const std::int32_t stochastic = options_.stochastic ? 1 : 0;
  const auto tensor = static_cast<std::uint32_t>(index * 3);
  const float gradient_step = format.step(gradient_largest_);
  quantise_.run(step.real, step.routes, step.gradient, pass.batch(), layer.out_height,
                layer.out_width, on_card.out_words(), layer.pool, 1, 1 / gradient_step, format.bits,
                stochastic, random_key(options_.seed, pass.draw, tensor));
  show_gradient(index, pass.batch());

  const Shares tiles(on_card.tiles, units_.size());
  in_parallel(tiles.parts(), [&](Unit& unit, std::size_t part) {
    unit.weight_gradient.run(
        step.input, step.gradient, step.weight_sums, step.bias_sums, pass.batch(),
        on_card.in_height, on_card.in_width, on_card.in_words, tiles.first(part), tiles.count(part),
        on_card.tiles, layer.kernel, layer.stride, layer.padding, step.input_step * gradient_step,
        gradient_step, format.bits, stochastic, random_key(options_.seed, pass.draw, tensor + 1));
  });
  add_sums(index, sums);
  if (index == 0) return;

  const Shares shares(pass.batch(), units_.size());
  in_parallel(shares.parts(), [&](Unit& unit, std::size_t part) {
    unit.input_gradient.run(
        step.gradient, step.weights, steps_[index - 1].routes, steps_[index - 1].real, largest_,
        shares.first(part), shares.count(part), layer.out_height, layer.out_width, on_card.tiles,
        on_card.in_height, on_card.in_width, on_card.in_words, layer.kernel, layer.stride,
        layer.padding, format.bits, gradient_step * layer.step, static_cast<std::int32_t>(part));
  });
  gradient_largest_ = read_largest(shares.parts());
  show_input_gradient(index, pass.batch());
}

void GradientEngine::add_sums(std::size_t index, GradientSums& sums) {
  const CardLayer on_card = card_layer(network_, index);
  std::vector<float> weight(on_card.weight_sum_bytes() / sizeof(float));
  std::vector<float> bias(on_card.bias_bytes() / sizeof(float));
  steps_[index].weight_sums.read(weight.data(), on_card.weight_sum_bytes());
  steps_[index].bias_sums.read(bias.data(), on_card.bias_bytes());
  const TrainingLayer& layer = network_.layers[index];
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
