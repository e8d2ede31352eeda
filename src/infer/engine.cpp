// Lays a network out in the card's memory and launches its layers.
#include "infer/engine.hpp"

#include <algorithm>
#include <cstring>

#include "numeric/int8_layout.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::infer {
namespace {

using quant::LayerKind;
using quant::PackedLayer;
using quant::PackedNetwork;

/// Bytes from one image to the next as the card takes it.
int staged_bytes(const PackedNetwork& network) {
  return int8::round_up(network.channels * network.height * network.width, int8::burst_bytes);
}

/// Bytes that one image's output takes; `last` leaves int32.
std::size_t output_bytes(const PackedLayer& layer, bool last) {
  const int channels = int8::stored_channels(layer.out_channels);
  return static_cast<std::size_t>(
      last ? channels * 4 : int8::image_bytes(layer.out_height, layer.out_width, channels));
}

bool same_shape(const PackedLayer& a, const PackedLayer& b) {
  return a.kind == b.kind && a.in_channels == b.in_channels && a.in_height == b.in_height &&
         a.in_width == b.in_width && a.out_channels == b.out_channels &&
         a.out_height == b.out_height && a.out_width == b.out_width &&
         a.weights.size() == b.weights.size();
}

bool same_shape(const PackedNetwork& a, const PackedNetwork& b) {
  return a.channels == b.channels && a.height == b.height && a.width == b.width &&
         std::equal(a.layers.begin(), a.layers.end(), b.layers.begin(), b.layers.end(),
                    [](const PackedLayer& x, const PackedLayer& y) { return same_shape(x, y); });
}

// Positions of the kernels' arguments, as in hls/int8/int8.json.
constexpr int argument_input = 0, argument_weights = 1, argument_parameters = 2,
              argument_output = 3;
constexpr int argument_tables = 1, argument_quantised = 2, argument_pooled = 1;

}  // namespace

Engine::Engine(fpga::Card& card, int max_batch)
    : card_(card),
      max_batch_(max_batch),
      quantise_input_(card.kernel("quantise_input_int8")),
      conv2d_(card.kernel("conv2d_int8")),
      dense_(card.kernel("dense_int8")),
      max_pool_(card.kernel("max_pool_int8")) {
  if (max_batch < 1 || max_batch > 4096) {
    throw Error(fmt::format("an FPGA batch of {} images is out of range", max_batch),
                "Choose 1 to 4096");
  }
}

void Engine::load(const quant::WeightPack& pack) {
  PackedNetwork network = quant::parse(pack);
  if (!same_shape(network, network_)) allocate(network);
  tables_.write(network.input_tables.data(), network.input_tables.size());
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const PackedLayer& layer = network.layers[i];
    if (layer.kind == LayerKind::max_pool) continue;
    steps_[i].weights.write(layer.weights.data(), layer.weights.size());
    steps_[i].parameters.write(layer.parameters.data(),
                               layer.parameters.size() * sizeof(std::int32_t));
  }
  network_ = std::move(network);
}

void Engine::allocate(const PackedNetwork& network) {
  const auto batch = static_cast<std::size_t>(max_batch_);
  const auto staged = static_cast<std::size_t>(staged_bytes(network));
  const auto input =
      static_cast<std::size_t>(int8::image_bytes(network.height, network.width, network.channels));
  fpga::Buffer images = card_.allocate(batch * staged, quantise_input_, argument_input);
  fpga::Buffer tables =
      card_.allocate(network.input_tables.size(), quantise_input_, argument_tables);
  fpga::Buffer quantised = card_.allocate(batch * input, quantise_input_, argument_quantised);
  std::vector<Step> steps;
  for (const PackedLayer& layer : network.layers) {
    const std::size_t bytes = batch * output_bytes(layer, &layer == &network.layers.back());
    Step step;
    if (layer.kind == LayerKind::max_pool) {
      step.output = card_.allocate(bytes, max_pool_, argument_pooled);
    } else {
      const fpga::Kernel& kernel = layer.kind == LayerKind::conv2d ? conv2d_ : dense_;
      step.weights = card_.allocate(layer.weights.size(), kernel, argument_weights);
      step.parameters = card_.allocate(layer.parameters.size() * sizeof(std::int32_t), kernel,
                                       argument_parameters);
      step.output = card_.allocate(bytes, kernel, argument_output);
    }
    steps.push_back(std::move(step));
  }
  images_ = std::move(images);
  tables_ = std::move(tables);
  input_ = std::move(quantised);
  steps_ = std::move(steps);
  staged_images_.assign(batch * staged, 0);
  accumulators_.assign(batch * output_bytes(network.layers.back(), true) / sizeof(std::int32_t), 0);
  network_ = {};  // the card no longer holds its weights
}

std::vector<float> Engine::run(std::span<const std::uint8_t> images, std::size_t count) {
  if (!loaded()) throw Error("the FPGA engine has no weights", "Load a weight pack first");
  const auto image = static_cast<std::size_t>(network_.channels * network_.height * network_.width);
  if (images.size() != count * image) {
    throw Error(fmt::format("{} images of model {} need {} bytes, not {}", count, network_.model,
                            count * image, images.size()));
  }
  const auto classes = static_cast<std::size_t>(network_.classes);
  std::vector<float> logits(count * classes);
  for (std::size_t first = 0; first < count; first += static_cast<std::size_t>(max_batch_)) {
    const std::size_t batch = std::min(count - first, static_cast<std::size_t>(max_batch_));
    run_batch(images.data() + first * image, static_cast<int>(batch),
              logits.data() + first * classes);
  }
  return logits;
}

void Engine::run_batch(const std::uint8_t* images, int batch, float* logits) {
  const auto image = static_cast<std::size_t>(network_.channels * network_.height * network_.width);
  const auto staged = static_cast<std::size_t>(staged_bytes(network_));
  const auto count = static_cast<std::size_t>(batch);
  for (std::size_t n = 0; n < count; ++n)
    std::memcpy(&staged_images_[n * staged], images + n * image, image);
  images_.write(staged_images_.data(), count * staged);
  quantise_input_.run(images_, tables_, input_, batch, network_.channels, network_.height,
                      network_.width);
  for (std::size_t i = 0; i < steps_.size(); ++i)
    launch(i, i == 0 ? input_ : steps_[i - 1].output, batch);

  const std::size_t row = accumulators_.size() / static_cast<std::size_t>(max_batch_);
  steps_.back().output.read(accumulators_.data(), count * row * sizeof(std::int32_t));
  const std::vector<float>& scales = network_.layers.back().scales;
  for (std::size_t n = 0; n < count; ++n) {
    for (std::size_t c = 0; c < scales.size(); ++c) {
      *logits++ = static_cast<float>(accumulators_[n * row + c]) * scales[c];
    }
  }
}

void Engine::launch(std::size_t index, const fpga::Buffer& input, int batch) {
  const PackedLayer& layer = network_.layers[index];
  const Step& step = steps_[index];
  const int channels = layer.stored_in_channels(),
            relu = layer.activation == quant::Activation::relu ? 1 : 0;
  switch (layer.kind) {
    case LayerKind::conv2d:
      conv2d_.run(input, step.weights, step.parameters, step.output, batch, layer.in_height,
                  layer.in_width, channels, layer.tiles(), layer.kernel, layer.stride,
                  layer.padding, relu);
      return;
    case LayerKind::dense:
      dense_.run(input, step.weights, step.parameters, step.output, batch, layer.words(),
                 layer.tiles(), relu, index + 1 == steps_.size() ? 1 : 0);
      return;
    case LayerKind::max_pool:
      max_pool_.run(input, step.output, batch, layer.in_height, layer.in_width, channels,
                    layer.kernel, layer.stride);
      return;
  }
}

}  // namespace dovetail::infer
