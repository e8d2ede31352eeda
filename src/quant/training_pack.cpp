// Quantises weights for the training kernels.
#include "quant/training_pack.hpp"

#include <algorithm>
#include <cmath>

#include "numeric/shared_exponent.hpp"
#include "numeric/training_layout.hpp"
#include "quant/batch_norm.hpp"
#include "quant/range_error.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {
namespace {

void add_pool(const Layer& source, TrainingNetwork& network) {
  const bool behind_convolution = !network.layers.empty() && network.layers.back().pool == 1;
  if (!behind_convolution || source.kernel != source.stride || source.padding != 0) {
    throw Error(fmt::format("model {} has a max-pool that the FPGA's training kernels cannot run",
                            network.model),
                "They take one behind a layer with weights, whose windows touch");
  }
  network.layers.back().pool = source.kernel;
}

TrainingLayer shape_of(const Layer& source, const TrainingNetwork& network) {
  TrainingLayer layer;
  layer.name = source.name;
  layer.dense = source.kind == LayerKind::dense;
  layer.in_channels = source.in_channels;
  layer.in_height = source.in_height;
  layer.in_width = source.in_width;
  if (layer.dense && network.layers.empty()) {  // takes the image as a vector
    layer.in_channels = source.in_channels * source.in_height * source.in_width;
    layer.in_height = layer.in_width = 1;
  } else if (layer.dense && source.in_height == 1 && source.in_width == 1) {
    const TrainingLayer& before = network.layers.back();  // given as a vector: the card has a map
    layer.in_channels = before.out_channels;
    layer.in_height = before.pooled_height();
    layer.in_width = before.pooled_width();
  }
  layer.out_channels = source.out_channels;
  layer.out_height = source.out_height;
  layer.out_width = source.out_width;
  layer.kernel = source.kernel;
  layer.stride = source.stride;
  layer.padding = source.padding;
  if (!source.gain.empty()) {
    throw Error(
        fmt::format("layer {} has a batch norm, which the training kernels have not", source.name),
        "Train a model without batch norms with --boost, such as cnn");
  }
  if (source.activation == Activation::sign) {
    throw Error(
        fmt::format("layer {} has a sign as its activation, which has no gradient on the "
                    "training kernels",
                    source.name));
  }
  layer.relu = source.activation == Activation::relu;
  return layer;
}

float largest_weight(const Layer& source, const TrainingLayer& layer) {
  if (source.weight.size() != layer.weight_count() ||
      source.bias.size() != static_cast<std::size_t>(layer.out_channels)) {
    throw Error(fmt::format("layer {} has {} weights and {} biases where its shape needs {} and {}",
                            layer.name, source.weight.size(), source.bias.size(),
                            layer.weight_count(), layer.out_channels));
  }
  float largest = 0;
  for (const std::vector<float>* values : {&source.weight, &source.bias}) {
    for (const float value : *values) {
      if (!std::isfinite(value))
        throw RangeError(
            fmt::format("layer {} has a weight or bias that is not finite", layer.name));
      if (values == &source.weight) largest = std::max(largest, std::fabs(value));
    }
  }
  return largest;
}

void quantise_weights(const Layer& source, const TrainingFormat& format, TrainingLayer& layer) {
  const float largest = largest_weight(source, layer);
  layer.step = format.step(largest);
  layer.bias = source.bias;
  if (format.blocks) {
    std::vector<float> most(layer.block_count());
    for (std::size_t i = 0; i < source.weight.size(); ++i) {
      float& block = most[layer.block_of(i)];
      block = std::max(block, std::fabs(source.weight[i]));
    }
    for (const float m : most)
      layer.exponents.push_back(static_cast<std::int8_t>(numeric::exponent_for(m, format.bits)));
  }
  const float inverse = 1 / layer.step;
  for (std::size_t i = 0; i < source.weight.size(); ++i) {
    const float scale =
        format.blocks ? numeric::power_of_two(-layer.exponents[layer.block_of(i)]) : inverse;
    layer.codes.push_back(static_cast<std::int16_t>(numeric::quantise_real(
        source.weight[i] * scale, numeric::nearest_threshold, numeric::largest_code(format.bits))));
  }
}

/// Layers without weights: shapes and what the kernels demand of them.
TrainingNetwork shape_of(const Network& source, const TrainingFormat& format, std::uint64_t version,
                         bool forward_only) {
  TrainingNetwork network;
  network.format = format;
  network.model = source.model;
  network.version = version;
  network.forward_only = forward_only;
  network.channels = source.channels;
  network.height = source.height;
  network.width = source.width;
  network.classes = source.classes;
  network.input_mean = source.input_mean;
  network.input_deviation = source.input_deviation;
  for (const Layer& layer : source.layers) {
    if (layer.kind == LayerKind::max_pool) {
      add_pool(layer, network);
    } else {
      network.layers.push_back(shape_of(layer, network));
    }
  }
  check_training_layers(network);
  return network;
}

std::vector<const Layer*> weighted_layers(const Network& source) {
  std::vector<const Layer*> weighted;
  for (const Layer& layer : source.layers) {
    if (layer.kind != LayerKind::max_pool) weighted.push_back(&layer);
  }
  return weighted;
}

/// The range of a hidden layer's activations.
float range_of(const Layer& layer, const TrainingFormat& format, const Calibration& calibration) {
  const double largest = double{layer.output_range};
  if (!std::isfinite(largest) || largest < 0) {
    throw RangeError(fmt::format("the calibrated range of {} is {}", layer.name, largest),
                     "Calibrate on real samples before packing");
  }
  if (largest == 0) return 1;  // always zero: any step will do
  return static_cast<float>(choose_range(calibration, largest, layer.output_histogram,
                                         numeric::largest_code(format.bits)));
}

/// Networks whose activations training has quantised mean something else with plain ReLUs.
void demand_plain_activations(const Network& source, const std::string& format) {
  for (const Layer& layer : source.layers) {
    const bool sign = layer.activation == Activation::sign;
    if (!sign && !(layer.output_step > 0)) continue;
    throw UsageError(
        fmt::format("{} cannot run model {}: layer {} has {} as its activation, and its "
                    "kernels have ReLU alone",
                    format, source.model, layer.name, sign ? "a sign" : "the steps of --qat"),
        "Take a format wXaY, such as that of --qat");
  }
}

}  // namespace

WeightPack pack_training(const Network& source, const std::string& format, std::uint64_t version) {
  TrainingNetwork network = shape_of(source, training_format(format), version, false);
  check_input_statistics(network);
  const std::vector<const Layer*> weighted = weighted_layers(source);
  for (std::size_t i = 0; i < weighted.size(); ++i)
    quantise_weights(*weighted[i], network.format, network.layers[i]);
  return serialise_training(network);
}

WeightPack pack_forward(const Network& source, const std::string& format_name,
                        std::uint64_t version, const Calibration& calibration) {
  const TrainingFormat format = training_format(format_name);
  demand_plain_activations(source, format_name);
  Network plain = source;
  for (Layer& layer : plain.layers) layer = folded(std::move(layer));
  TrainingNetwork network;
  try {
    network = shape_of(plain, format, version, true);
  } catch (const Error& refusal) {
    throw UsageError(
        fmt::format("{} cannot run model {}: {}", format_name, source.model, refusal.what()));
  }
  check_input_statistics(network);
  const std::vector<const Layer*> weighted = weighted_layers(plain);
  for (std::size_t i = 0; i < weighted.size(); ++i) {
    quantise_weights(*weighted[i], format, network.layers[i]);
    const bool hidden = i + 1 < weighted.size();
    if (hidden && !format.blocks)
      network.layers[i].output_range = range_of(*weighted[i], format, calibration);
  }
  return serialise_training(network);
}

}  // namespace dovetail::quant
