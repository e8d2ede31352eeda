// Lays a network out in the card's memory and launches its layers.
#include "infer/engine.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>

#include "infer/stored_map.hpp"
#include "numeric/engine_layout.hpp"
#include "numeric/requantise.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "support/timeline.hpp"
#include "tensor/layout.hpp"

namespace dovetail::infer {
namespace {

using quant::LayerKind;
using quant::PackedLayer;
using quant::PackedNetwork;

constexpr int worker_count = engine::layer_units;

/// Bytes from one image to the next, in uint8 and as int8 map alike.
std::size_t input_bytes(const PackedNetwork& network) {
  return extent(
      engine::image_bytes(network.height, network.width, network.channels, engine::input_bits));
}

/// Bytes that one image's output takes.
std::size_t output_bytes(const PackedLayer& layer) {
  return extent(engine::image_bytes(layer.out_height, layer.out_width,
                                    engine::stored_channels(layer.out_channels), layer.out_bits));
}

bool same_shape(const PackedLayer& a, const PackedLayer& b) {
  return a.kind == b.kind && a.in_channels == b.in_channels && a.in_height == b.in_height &&
         a.in_width == b.in_width && a.out_channels == b.out_channels &&
         a.out_height == b.out_height && a.out_width == b.out_width &&
         a.weights.size() == b.weights.size() && a.in_bits == b.in_bits && a.out_bits == b.out_bits;
}

bool same_shape(const PackedNetwork& a, const PackedNetwork& b) {
  return a.channels == b.channels && a.height == b.height && a.width == b.width &&
         std::equal(a.layers.begin(), a.layers.end(), b.layers.begin(), b.layers.end(),
                    [](const PackedLayer& x, const PackedLayer& y) { return same_shape(x, y); });
}

// Positions of the kernels' arguments, as in hls/engine/family.json.in.
constexpr int argument_input = 0, argument_weights = 1, argument_parameters = 2,
              argument_output = 3;
constexpr int argument_tables = 1, argument_quantised = 2, argument_pooled = 1;

}  // namespace

Engine::Engine(fpga::Card& card, const std::string& family, int max_batch)
    : card_(card), family_(family), max_batch_(max_batch) {
  if (max_batch < 1 || max_batch > 4096) {
    throw Error(fmt::format("an FPGA batch of {} images is out of range", max_batch),
                "Choose 1 to 4096");
  }
  for (int i = 0; i < worker_count; ++i) {
    workers_.push_back({.quantise_input = card.kernel("quantise_input"),
                        .conv2d = card.kernel("conv2d_" + family),
                        .dense = card.kernel("dense_" + family),
                        .max_pool = card.kernel("max_pool"),
                        .images = {},
                        .input = {},
                        .outputs = {},
                        .staged_images = {},
                        .accumulators = {}});
  }
}

void Engine::load(const quant::WeightPack& pack) {
  PackedNetwork network = quant::parse(pack);
  const std::string family = quant::kernel_family(network.format);
  if (family != family_) {
    throw Error(fmt::format("a weight pack in {} needs kernel family {}, but {} is loaded",
                            network.format, family, family_),
                "Open the card with that family's xclbin");
  }
  if (!same_shape(network, network_)) allocate(network);
  tables_.write(network.input_tables.data(), network.input_tables.size());
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const PackedLayer& layer = network.layers[i];
    if (layer.kind == LayerKind::max_pool) continue;
    weights_[i].weights.write(layer.weights.data(), layer.weights.size());
    weights_[i].parameters.write(layer.parameters.data(),
                                 layer.parameters.size() * sizeof(std::int32_t));
  }
  network_ = std::move(network);
}

void Engine::allocate(const PackedNetwork& network) {
  network_ = {};  // the card no longer holds its weights
  const auto batch = extent(max_batch_);
  const std::size_t input = input_bytes(network);
  tables_ =
      card_.allocate(network.input_tables.size(), workers_[0].quantise_input, argument_tables);
  weights_.assign(network.layers.size(), {});
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const PackedLayer& layer = network.layers[i];
    if (layer.kind == LayerKind::max_pool) continue;
    const fpga::Kernel& kernel =
        layer.kind == LayerKind::conv2d ? workers_[0].conv2d : workers_[0].dense;
    weights_[i].weights = card_.allocate(layer.weights.size(), kernel, argument_weights);
    weights_[i].parameters =
        card_.allocate(layer.parameters.size() * sizeof(std::int32_t), kernel, argument_parameters);
  }
  for (Worker& worker : workers_) {
    worker.images = card_.allocate(batch * input, worker.quantise_input, argument_input);
    worker.input = card_.allocate(batch * input, worker.quantise_input, argument_quantised);
    worker.outputs.clear();
    for (const PackedLayer& layer : network.layers) {
      const std::size_t bytes = batch * output_bytes(layer);
      worker.outputs.push_back(
          layer.kind == LayerKind::max_pool
              ? card_.allocate(bytes, worker.max_pool, argument_pooled)
              : card_.allocate(bytes,
                               layer.kind == LayerKind::conv2d ? worker.conv2d : worker.dense,
                               argument_output));
    }
    worker.staged_images.assign(batch * input, 0);
    worker.accumulators.assign(batch * output_bytes(network.layers.back()) / sizeof(std::int32_t),
                               0);
  }
}

void Engine::expect_images(std::span<const std::uint8_t> images, std::size_t count) const {
  if (!loaded()) throw Error("the FPGA engine has no weights", "Load a weight pack first");
  const auto image = extent(network_.channels * network_.height * network_.width);
  if (images.size() != count * image) {
    throw Error(fmt::format("{} images of model {} need {} bytes, not {}", count, network_.model,
                            count * image, images.size()));
  }
}

template <typename Body>
void Engine::in_batches(std::size_t count, const Body& body) {
  const std::size_t batch =
      std::clamp<std::size_t>((count + worker_count - 1) / worker_count, 1, extent(max_batch_));
  std::atomic<std::size_t> next{0};
  const auto work = [&](Worker& worker) {
    for (std::size_t first = next.fetch_add(batch); first < count; first = next.fetch_add(batch))
      body(worker, first, std::min(batch, count - first));
  };
  std::vector<std::future<void>> others;
  for (std::size_t i = 1; i < workers_.size() && i * batch < count; ++i)
    others.push_back(std::async(std::launch::async, [&, i] { work(workers_[i]); }));
  work(workers_[0]);
  for (std::future<void>& other : others) other.get();
}

std::vector<float> Engine::run(std::span<const std::uint8_t> images, std::size_t count) {
  expect_images(images, count);
  const auto image = extent(network_.channels * network_.height * network_.width);
  const auto classes = extent(network_.classes);
  std::vector<float> logits(count * classes);
  in_batches(count, [&](Worker& worker, std::size_t first, std::size_t now) {
    run_layers(worker, images.data() + first * image, static_cast<int>(now));
    read_logits(worker, static_cast<int>(now), logits.data() + first * classes);
  });
  return logits;
}

std::vector<LayerOutput> Engine::layer_outputs(std::span<const std::uint8_t> images,
                                               std::size_t count) {
  expect_images(images, count);
  const auto image = extent(network_.channels * network_.height * network_.width);
  std::vector<LayerOutput> outputs{
      {"quantise_input", "input", false, std::vector<std::int32_t>(images.size())}};
  for (const PackedLayer& layer : network_.layers) {
    outputs.push_back(
        {to_string(layer.kind), layer.name, false,
         std::vector<std::int32_t>(
             count * extent(layer.out_channels * layer.out_height * layer.out_width))});
  }
  in_batches(count, [&](Worker& worker, std::size_t first, std::size_t now) {
    run_layers(worker, images.data() + first * image, static_cast<int>(now));
    read_outputs(worker, first, now, outputs);
  });
  return outputs;
}

void Engine::read_outputs(Worker& worker, std::size_t first, std::size_t count,
                          std::vector<LayerOutput>& outputs) {
  const auto read = [&](fpga::Buffer& buffer, const StoredMap& map, LayerOutput& output) {
    std::vector<std::uint8_t> bytes(count * map.bytes());
    buffer.read(bytes.data(), bytes.size());
    map.decode(bytes, &output.values[first * map.values()]);
    if (!map.filler_holds(bytes)) {
      throw Error(fmt::format("layer {} in {}: {} left something on the card beyond its channels "
                              "or behind an image",
                              output.layer, network_.format, output.kernel),
                  "The card or its kernels compute wrongly");
    }
  };
  read(worker.input,
       {network_.channels, network_.channels, network_.height, network_.width, engine::input_bits},
       outputs[0]);
  for (std::size_t i = 0; i < network_.layers.size(); ++i) {
    const PackedLayer& layer = network_.layers[i];
    read(worker.outputs[i],
         {layer.out_channels, engine::stored_channels(layer.out_channels), layer.out_height,
          layer.out_width, layer.out_bits},
         outputs[i + 1]);
  }
}

void Engine::run_layers(Worker& worker, const std::uint8_t* images, int batch) {
  const auto image = extent(network_.channels * network_.height * network_.width);
  const std::size_t staged = input_bytes(network_);
  const auto count = extent(batch);
  for (std::size_t n = 0; n < count; ++n)
    std::memcpy(&worker.staged_images[n * staged], images + n * image, image);
  worker.images.write(worker.staged_images.data(), count * staged);
  worker.quantise_input.run(worker.images, tables_, worker.input, batch, network_.channels,
                            network_.height * network_.width);
  for (std::size_t i = 0; i < network_.layers.size(); ++i)
    launch(worker, i, i == 0 ? worker.input : worker.outputs[i - 1], batch);
}

void Engine::read_logits(Worker& worker, int batch, float* logits) {
  const auto count = extent(batch);
  const PackedLayer& last = network_.layers.back();
  const std::size_t row = output_bytes(last) / sizeof(std::int32_t);
  worker.outputs.back().read_checked(worker.accumulators.data(),
                                     count * row * sizeof(std::int32_t));
  for (std::size_t n = 0; n < count; ++n) {
    for (std::size_t c = 0; c < last.scales.size(); ++c) {
      *logits++ = last.logit(c, worker.accumulators[n * row + c]);
    }
  }
}

void Engine::launch(Worker& worker, std::size_t index, const fpga::Buffer& input, int batch) {
  const PackedLayer& layer = network_.layers[index];
  const timeline::Part part(layer.name);
  const Weights& weights = weights_[index];
  const fpga::Buffer& output = worker.outputs[index];
  const int stored = layer.stored_in_channels();
  const std::int32_t low = layer.activation == quant::Activation::relu ? 0 : numeric::int8_lowest;
  switch (layer.kind) {
    case LayerKind::conv2d:
      worker.conv2d.run(input, weights.weights, weights.parameters, output, batch, layer.in_height,
                        layer.in_width, stored, layer.in_channels, layer.tiles(), layer.kernel,
                        layer.stride, layer.padding, layer.in_bits, layer.out_bits, low);
      return;
    case LayerKind::dense:
      worker.dense.run(input, weights.weights, weights.parameters, output, batch,
                       layer.in_height * layer.in_width, stored, layer.in_channels, layer.tiles(),
                       layer.in_bits, layer.out_bits, low);
      return;
    case LayerKind::max_pool:
      worker.max_pool.run(input, output, batch, layer.in_height, layer.in_width, stored,
                          layer.kernel, layer.stride, layer.out_bits);
      return;
  }
}

}  // namespace dovetail::infer
