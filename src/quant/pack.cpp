// Post-training quantisation of a calibrated network to int8.
//
// Symmetric throughout: activations have one scale a tensor (largest magnitude / 127), weights one
// scale an output channel, zero is exact. After Jacob et al. 2018 (arXiv 1712.05877) and
// Krishnamoorthi 2018 (arXiv 1806.08342, section 3).
#include <algorithm>
#include <cmath>

#include "numeric/int8_layout.hpp"
#include "quant/packed_network.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {
namespace {

constexpr double highest = 127;
constexpr std::int32_t bias_limit = 1 << 30;

double scale_of(double range, const std::string& what) {
  if (!std::isfinite(range) || range < 0) {
    throw Error(fmt::format("the calibrated range of {} is {}", what, range),
                "Calibrate on real samples before packing");
  }
  return range > 0 ? range / highest : 1.0;  // a tensor that is always zero takes any scale
}

std::vector<std::int8_t> input_tables(const Network& network, double scale) {
  const auto channels = static_cast<std::size_t>(std::max(network.channels, 0));
  if (network.input_mean.size() != channels || network.input_deviation.size() != channels) {
    throw Error(fmt::format("model {} has {} input channels, but {} means and {} deviations",
                            network.model, channels, network.input_mean.size(),
                            network.input_deviation.size()));
  }
  std::vector<std::int8_t> tables;
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = network.input_mean[c], deviation = network.input_deviation[c];
    if (!std::isfinite(mean) || !(std::isfinite(deviation) && deviation > 0)) {
      throw Error(
          fmt::format("input channel {} has mean {} and standard deviation {}", c, mean, deviation),
          "Check the data set's manifest");
    }
    for (int x = 0; x < 256; ++x) {
      tables.push_back(
          static_cast<std::int8_t>(quantise((x / 255.0 - mean) / deviation, scale, 127)));
    }
  }
  return tables;
}

PackedLayer shape_of(const Layer& source, bool stored_input, int channels, int height, int width) {
  PackedLayer layer;
  layer.kind = source.kind;
  layer.name = source.name;
  layer.in_channels = source.in_channels;
  layer.in_height = source.in_height;
  layer.in_width = source.in_width;
  const bool flattened =
      source.kind == LayerKind::dense && source.in_height == 1 && source.in_width == 1 &&
      std::int64_t{source.in_channels} == std::int64_t{channels} * height * width;
  if (flattened) {  // given as a vector: the card keeps the map
    layer.in_channels = channels;
    layer.in_height = height;
    layer.in_width = width;
  }
  layer.out_channels = source.out_channels;
  layer.out_height = source.out_height;
  layer.out_width = source.out_width;
  layer.kernel = source.kernel;
  layer.stride = source.stride;
  layer.padding = source.padding;
  layer.activation = source.activation;
  layer.stored_input = stored_input;
  return layer;
}

void demand_size(const std::vector<float>& values, std::size_t needed, const Layer& layer,
                 const char* what) {
  if (values.size() == needed) return;
  throw Error(fmt::format("layer {} has {} {} where its shape needs {}", layer.name, values.size(),
                          what, needed));
}

/// The layer with its batch norm folded into weights and bias (Jacob et al. 2018, section 3.2).
Layer folded(Layer layer) {
  const auto outputs = static_cast<std::size_t>(layer.out_channels);
  demand_size(layer.bias, outputs, layer, "biases");
  if (!layer.weight_scale.empty()) demand_size(layer.weight_scale, outputs, layer, "weight scales");
  if (layer.gain.empty()) return layer;
  demand_size(layer.gain, outputs, layer, "gains");
  demand_size(layer.offset, outputs, layer, "offsets");
  const std::size_t columns = layer.weight.size() / outputs;
  for (std::size_t o = 0; o < outputs; ++o) {
    for (std::size_t i = 0; i < columns; ++i) layer.weight[o * columns + i] *= layer.gain[o];
    layer.bias[o] = layer.bias[o] * layer.gain[o] + layer.offset[o];
    if (!layer.weight_scale.empty()) layer.weight_scale[o] *= std::abs(layer.gain[o]);
  }
  return layer;
}

/// Real value of one step of a channel's weights: what training has learnt, or the largest weight
/// becomes 127, unless the bias needs a coarser accumulator to stay within 30 bits.
double weight_scale(const Layer& layer, std::size_t out, std::size_t columns, double in_scale) {
  double most = 0;
  for (std::size_t i = out * columns; i < (out + 1) * columns; ++i) {
    if (!std::isfinite(layer.weight[i]))
      throw Error(fmt::format("layer {} has a weight that is not finite", layer.name));
    most = std::max(most, std::abs(double{layer.weight[i]}));
  }
  if (!std::isfinite(layer.bias[out]))
    throw Error(fmt::format("layer {} has a bias that is not finite", layer.name));
  const double step = layer.weight_scale.empty() ? most / highest : layer.weight_scale[out];
  if (!(std::isfinite(step) && step >= 0))
    throw Error(fmt::format("layer {} has a weight scale of {}", layer.name, step));
  const double scale = std::max(step, std::abs(double{layer.bias[out]}) / (in_scale * bias_limit));
  return scale > 0 ? scale : 1.0;
}

void quantise_weights(const Layer& source, PackedLayer& layer, double in_scale, double out_scale,
                      bool last) {
  const bool conv = layer.kind == LayerKind::conv2d;
  const int rows = conv ? layer.kernel : layer.in_height;
  const int columns = conv ? layer.kernel : layer.in_width;
  const std::size_t per_output =
      static_cast<std::size_t>(layer.in_channels) * static_cast<std::size_t>(rows * columns);
  const auto outputs = static_cast<std::size_t>(layer.out_channels);
  demand_size(source.weight, outputs * per_output, source, "weights");
  const auto tiles = static_cast<std::size_t>(layer.tiles());
  layer.weights.assign(tiles * static_cast<std::size_t>(layer.words() * int8::weight_word_bytes),
                       0);
  layer.parameters.assign(tiles * 3 * int8::pe, 0);
  for (std::size_t t = 0; t < tiles; ++t) {
    for (int p = 0; p < int8::pe; ++p) {
      layer.parameters[(t * 3 + 2) * int8::pe + static_cast<std::size_t>(p)] = Factor{}.shift;
    }
  }
  for (int out = 0; out < layer.out_channels; ++out) {
    const auto o = static_cast<std::size_t>(out);
    const double scale = weight_scale(source, o, per_output, in_scale);
    std::size_t i = o * per_output;
    for (int in = 0; in < layer.in_channels; ++in) {
      for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; ++column, ++i) {
          layer.weights[layer.weight_index(out, in, row, column)] =
              static_cast<std::int8_t>(quantise(source.weight[i], scale, 127));
        }
      }
    }
    const Factor factor = last ? Factor{} : to_factor(in_scale * scale / out_scale);
    std::int32_t* tile = &layer.parameters[o / int8::pe * 3 * int8::pe + o % int8::pe];
    tile[0] = quantise(source.bias[o], in_scale * scale, bias_limit);
    tile[int8::pe] = factor.multiplier;
    tile[2 * int8::pe] = factor.shift;
    layer.scales.push_back(static_cast<float>(in_scale * scale));
  }
}

}  // namespace

WeightPack pack(const Network& network, const std::string& number_format, std::uint64_t version) {
  if (number_format != "int8") {
    throw UsageError(fmt::format("unknown FPGA format {}", number_format), "This build knows int8");
  }
  PackedNetwork packed;
  packed.format = number_format;
  packed.model = network.model;
  packed.version = version;
  packed.channels = network.channels;
  packed.height = network.height;
  packed.width = network.width;
  packed.classes = network.classes;
  int channels = network.channels, height = network.height, width = network.width;
  for (const Layer& layer : network.layers) {
    packed.layers.push_back(shape_of(layer, !packed.layers.empty(), channels, height, width));
    channels = layer.out_channels;
    height = layer.out_height;
    width = layer.out_width;
  }
  check_layers(packed);

  double scale = scale_of(network.input_range, "the input");
  packed.input_tables = input_tables(network, scale);
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& layer = network.layers[i];
    if (layer.kind == LayerKind::max_pool)
      continue;  // maxima keep the scale of what they choose from
    const bool last = i + 1 == network.layers.size();
    const double out_scale = last                    ? 1.0
                             : layer.output_step > 0 ? layer.output_step
                                                     : scale_of(layer.output_range, layer.name);
    quantise_weights(folded(layer), packed.layers[i], scale, out_scale, last);
    scale = out_scale;
  }
  return serialise(packed);
}

}  // namespace dovetail::quant
