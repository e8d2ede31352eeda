// Allocates, fills and launches; positions of arguments as in hls/training/training.json.in.
#include "infer/forward_pass.hpp"

#include <cstring>

#include "infer/gradient_step.hpp"
#include "infer/training_memory.hpp"
#include "numeric/training_layout.hpp"

namespace dovetail::infer {
namespace {

using quant::TrainingLayer;
using quant::TrainingNetwork;

// Buffers that kernels share lie in the same bank for each of them.
constexpr int image_pixels = 0, image_tables = 1, image_codes = 2;
constexpr int forward_weights = 1, forward_bias = 2, forward_output = 3, forward_routes = 4,
              forward_largest = 5;

}  // namespace

ForwardPass::ForwardPass(fpga::Card& card, std::size_t compute_units)
    : card_(card),
      quantise_images_(card.kernel("train_quantise_images")),
      quantise_(card.kernel("train_quantise")) {
  for (std::size_t u = 0; u < compute_units; ++u) units_.push_back(card.kernel("train_forward"));
}

void ForwardPass::load(TrainingNetwork network, std::size_t batch) {
  if (!same_shape(network, network_)) allocate(network, batch);
  write_weights(network);
  network_ = std::move(network);
}

void ForwardPass::allocate(const TrainingNetwork& network, std::size_t batch) {
  const fpga::Kernel& unit = units_.front();
  const std::size_t staged = staged_image_bytes(network);
  fpga::Buffer images = card_.allocate(batch * staged, quantise_images_, image_pixels);
  fpga::Buffer tables = card_.allocate(static_cast<std::size_t>(network.channels) * 256 * 4,
                                       quantise_images_, image_tables);
  fpga::Buffer largest = card_.allocate(most_units * training::burst_bytes, unit, forward_largest);
  std::vector<Step> steps;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const CardLayer layer = card_layer(network, i);
    Step step;
    step.input = card_.allocate(batch * layer.input_bytes(), quantise_images_, image_codes);
    step.weights = card_.allocate(layer.weight_bytes(), unit, forward_weights);
    step.bias = card_.allocate(layer.bias_bytes(), unit, forward_bias);
    step.real = card_.allocate(batch * layer.real_bytes(), unit, forward_output);
    step.routes = card_.allocate(batch * layer.route_bytes(), unit, forward_routes);
    steps.push_back(std::move(step));
  }
  images_ = std::move(images);
  tables_ = std::move(tables);
  largest_ = std::move(largest);
  steps_ = std::move(steps);
  staged_images_.assign(batch * staged, 0);
  network_ = {};  // the card no longer holds its weights
}

void ForwardPass::write_weights(const TrainingNetwork& network) {
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

void ForwardPass::run(std::span<const std::uint8_t> images, std::size_t count) {
  write_images(images, static_cast<int>(count));
  for (std::size_t i = 0; i < steps_.size(); ++i) run_layer(i, static_cast<int>(count));
}

void ForwardPass::write_images(std::span<const std::uint8_t> images, int count) {
  const auto samples = static_cast<std::size_t>(count);
  const std::size_t image = images.size() / samples;
  const std::size_t staged = staged_image_bytes(network_);
  for (std::size_t n = 0; n < samples; ++n)
    std::memcpy(&staged_images_[n * staged], &images[n * image], image);
  images_.write(staged_images_.data(), samples * staged);
  const TrainingLayer& first = network_.layers.front();
  quantise_images_.run(images_, tables_, steps_.front().input, count,
                       first.in_height * first.in_width, first.in_channels,
                       network_.height * network_.width, 1 / steps_.front().input_step,
                       network_.format.bits);
}

void ForwardPass::run_layer(std::size_t index, int count) {
  const TrainingLayer& layer = network_.layers[index];
  const CardLayer on_card = card_layer(network_, index);
  Step& step = steps_[index];
  const float scale = step.input_step * layer.step;
  const Shares shares(count, units_.size());
  in_parallel(units_, shares.parts(), [&](fpga::Kernel& unit, std::size_t part) {
    unit.run(step.input, step.weights, step.bias, step.real, step.routes, largest_,
             shares.first(part), shares.count(part), on_card.in_height, on_card.in_width,
             on_card.in_words, on_card.tiles, layer.kernel, layer.stride, layer.padding, layer.pool,
             layer.relu ? 1 : 0, scale, static_cast<std::int32_t>(part));
  });
  if (index + 1 == steps_.size()) return;
  Step& next = steps_[index + 1];
  const float largest = layer.output_range > 0 ? 0 : read_largest(shares.parts());
  next.input_step = layer.output_step(network_.format, largest);
  quantise_.run(step.real, step.routes, next.input, count, layer.pooled_height(),
                layer.pooled_width(), on_card.out_words(), 1, 0, 1 / next.input_step,
                network_.format.bits, 0, std::uint32_t{0});
}

float ForwardPass::read_largest(std::size_t parts) {
  constexpr std::size_t per_burst = training::burst_bytes / sizeof(float);
  std::vector<float> values(parts * per_burst);
  largest_.read_checked(values.data(), values.size() * sizeof(float));
  float largest = 0;
  for (std::size_t part = 0; part < parts; ++part)
    largest = largest < values[part * per_burst] ? values[part * per_burst] : largest;
  return largest;
}

std::vector<float> ForwardPass::logits(std::size_t count) {
  const CardLayer last = card_layer(network_, steps_.size() - 1);
  const auto row = static_cast<std::size_t>(last.out_words() * training::simd);
  const auto classes = static_cast<std::size_t>(network_.classes);
  std::vector<float> stored(count * row), result;
  steps_.back().real.read_checked(stored.data(), stored.size() * sizeof(float));
  for (std::size_t n = 0; n < count; ++n) {
    const auto from = stored.begin() + static_cast<std::ptrdiff_t>(n * row);
    result.insert(result.end(), from, from + static_cast<std::ptrdiff_t>(classes));
  }
  return result;
}

}  // namespace dovetail::infer
