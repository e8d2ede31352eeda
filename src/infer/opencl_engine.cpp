// Unpacks a network's weights and launches its layers.
#include "infer/opencl_engine.hpp"

#include <algorithm>

#include "numeric/engine_layout.hpp"
#include "numeric/requantise.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail::infer {
namespace {

using quant::LayerKind;
using quant::PackedLayer;

constexpr int lanes = 16;
constexpr int table_size = 256;

/// A map taken as one vector, [channel][row][column].
IntegerMap flattened(const IntegerMap& map) {
  return {map.channels * map.pixels(), 1, 1};
}

/// `flat`: the layer takes its input as one vector.
IntegerFilter filter_of(const PackedLayer& layer, bool flat) {
  const bool conv = layer.kind == LayerKind::conv2d;
  const IntegerMap window{layer.in_channels, conv ? layer.kernel : layer.in_height,
                          conv ? layer.kernel : layer.in_width};
  IntegerFilter filter(flat ? flattened(window) : window, layer.out_channels, layer.out_bits,
                       layer.activation == quant::Activation::relu ? 0 : numeric::int8_lowest);
  for (int out = 0; out < layer.out_channels; ++out) {
    for (int in = 0; in < window.channels; ++in) {
      for (int row = 0; row < window.height; ++row) {
        for (int column = 0; column < window.width; ++column) {
          const auto weight = static_cast<std::int8_t>(layer.weight(out, in, row, column));
          if (flat) {
            const int place = (in * window.height + row) * window.width + column;
            filter.set_weight(out, place, 0, 0, weight);
          } else {
            filter.set_weight(out, in, row, column, weight);
          }
        }
      }
    }
    const quant::Channel channel = layer.channel(out);
    if (layer.out_bits < 8) {
      filter.set_thresholds(out, channel.thresholds, channel.downwards);
    } else {
      filter.set_requantisation(out, channel.bias, channel.factor.multiplier, channel.factor.shift);
    }
  }
  return filter;
}

}  // namespace

OpenclEngine::OpenclEngine(opencl::Device& device, int max_batch)
    : device_(device), kernels_(device), max_batch_(max_batch) {
  if (max_batch < 1)
    throw Error(fmt::format("an OpenCL batch of {} images", max_batch), "Choose at least 1");
}

void OpenclEngine::load(const quant::WeightPack& pack) {
  quant::PackedNetwork network = quant::parse(pack);
  const std::size_t batch = extent(max_batch_);
  input_map_ = {network.channels, network.height, network.width};
  // A dense layer takes the image as one vector: its 1 to 4 channels would fill few of the lanes.
  const bool flat = network.layers.front().kind == LayerKind::dense;
  const std::size_t copies = flat ? extent(input_map_.pixels()) : 1;
  std::vector<std::int8_t> tables;
  for (auto table = network.input_tables.begin(); table != network.input_tables.end();
       table += table_size) {
    for (std::size_t i = 0; i < copies; ++i) tables.insert(tables.end(), table, table + table_size);
  }
  if (flat) input_map_ = flattened(input_map_);
  tables_ = device_.upload(std::span<const std::int8_t>(tables));
  images_ = device_.allocate(batch * extent(input_map_.channels * input_map_.pixels()));
  input_ = device_.allocate(batch * input_map_.bytes());
  steps_.clear();
  for (const PackedLayer& layer : network.layers) {
    Step step;
    step.in = {layer.in_channels, layer.in_height, layer.in_width};
    step.out = {layer.out_channels, layer.out_height, layer.out_width};
    if (layer.kind != LayerKind::max_pool)
      step.filter = kernels_.load(filter_of(layer, flat && steps_.empty()));
    const std::size_t element = layer.out_bits == engine::raw_bits ? sizeof(std::int32_t) : 1;
    step.output = device_.allocate(batch * step.out.bytes() * element);
    steps_.push_back(std::move(step));
  }
  network_ = std::move(network);
}

void OpenclEngine::run_batch(const std::uint8_t* images, int batch) {
  device_.write(images_, images, extent(batch * input_map_.channels * input_map_.pixels()));
  kernels_.quantise_input(images_, tables_, input_, input_map_, batch);
  const opencl::Buffer* x = &input_;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const PackedLayer& layer = network_.layers[i];
    const Step& step = steps_[i];
    switch (layer.kind) {
      case LayerKind::conv2d:
        kernels_.conv2d(*x, step.in, step.filter, layer.stride, layer.padding, step.output,
                        step.out, batch);
        break;
      case LayerKind::dense:
        kernels_.dense(*x, step.filter, step.output, batch);
        break;
      case LayerKind::max_pool:
        kernels_.max_pool(*x, step.in, layer.kernel, layer.stride, step.output, step.out, batch);
        break;
    }
    x = &step.output;
  }
}

void OpenclEngine::read_map(const opencl::Buffer& buffer, const IntegerMap& map, int batch,
                            std::vector<std::int32_t>& values) {
  std::vector<std::int8_t> stored(extent(batch) * map.bytes());
  device_.read(buffer, stored.data(), stored.size());
  for (std::size_t begin = 0; begin < stored.size(); begin += map.bytes()) {
    for (int c = 0; c < map.channels; ++c) {
      for (int y = 0; y < map.height; ++y) {
        for (int x = 0; x < map.width; ++x) values.push_back(stored[begin + map.index(c, y, x)]);
      }
    }
  }
}

void OpenclEngine::read_raw(int batch, std::vector<std::int32_t>& values) {
  const std::size_t outputs = extent(network_.classes);
  const std::size_t row = extent(steps_.back().out.vectors() * lanes);
  std::vector<std::int32_t> stored(extent(batch) * row);
  device_.read(steps_.back().output, stored.data(), stored.size() * sizeof(std::int32_t));
  for (std::size_t n = 0; n < extent(batch); ++n)
    values.insert(values.end(), &stored[n * row], &stored[n * row] + outputs);
}

template <typename Body>
void OpenclEngine::in_batches(std::span<const std::uint8_t> images, std::size_t count,
                              const Body& body) {
  if (steps_.empty()) throw Error("the OpenCL engine has no weights", "Load a weight pack first");
  const std::size_t image = extent(input_map_.channels * input_map_.pixels());
  if (images.size() != count * image) {
    throw Error(fmt::format("{} images of model {} need {} bytes, not {}", count, network_.model,
                            count * image, images.size()));
  }
  for (std::size_t first = 0; first < count; first += extent(max_batch_)) {
    const int batch = static_cast<int>(std::min(count - first, extent(max_batch_)));
    run_batch(&images[first * image], batch);
    body(batch);
  }
}

std::vector<float> OpenclEngine::run(std::span<const std::uint8_t> images, std::size_t count) {
  std::vector<std::int32_t> raw;
  in_batches(images, count, [&](int batch) { read_raw(batch, raw); });
  std::vector<float> logits(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i)
    logits[i] = network_.layers.back().logit(i % extent(network_.classes), raw[i]);
  return logits;
}

std::vector<LayerOutput> OpenclEngine::layer_outputs(std::span<const std::uint8_t> images,
                                                     std::size_t count) {
  std::vector<LayerOutput> outputs{{"quantise_input", "input", false, {}}};
  for (const PackedLayer& layer : network_.layers)
    outputs.push_back({to_string(layer.kind), layer.name, false, {}});
  in_batches(images, count, [&](int batch) {
    read_map(input_, input_map_, batch, outputs[0].values);
    for (std::size_t i = 0; i + 1 < steps_.size(); ++i)
      read_map(steps_[i].output, steps_[i].out, batch, outputs[i + 1].values);
    read_raw(batch, outputs.back().values);
  });
  return outputs;
}

}  // namespace dovetail::infer
