// Post-training quantisation of a calibrated network to wXaY.
//
// Symmetric weights with one scale an output channel, activations with one step a layer, zero
// exact. After Jacob et al. 2018 (arXiv 1712.05877) and Krishnamoorthi 2018 (arXiv 1806.08342,
// section 3); thresholds that absorb bias and batch norm after Umuroglu et al., "FINN" (FPGA 2017,
// section 4.2.2).
#include <algorithm>
#include <cmath>

#include "numeric/engine_layout.hpp"
#include "quant/batch_norm.hpp"
#include "quant/channel_law.hpp"
#include "quant/packed_network.hpp"
#include "quant/range_error.hpp"
#include "quant/training_pack.hpp"
#include "quant/weight_codes.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {
namespace {

double usable_range(double range, const std::string& what) {
  if (!std::isfinite(range) || range < 0) {
    throw RangeError(fmt::format("the calibrated range of {} is {}", what, range),
                     "Calibrate on real samples before packing");
  }
  return range > 0 ? range : 1.0;  // a tensor that is always zero takes any scale
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

PackedLayer shape_of(const Layer& source, int channels, int height, int width) {
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
  return layer;
}

void demand_size(const std::vector<float>& values, std::size_t needed, const Layer& layer,
                 const char* what) {
  if (values.size() == needed) return;
  throw Error(fmt::format("layer {} has {} {} where its shape needs {}", layer.name, values.size(),
                          what, needed));
}

void demand_parts(const Layer& layer) {
  const auto outputs = static_cast<std::size_t>(layer.out_channels);
  demand_size(layer.bias, outputs, layer, "biases");
  if (!layer.weight_scale.empty()) demand_size(layer.weight_scale, outputs, layer, "weight scales");
  if (layer.gain.empty() && layer.offset.empty()) return;
  demand_size(layer.gain, outputs, layer, "gains");
  demand_size(layer.offset, outputs, layer, "offsets");
}

void demand_finite(double value, const Layer& layer, const char* what) {
  if (!std::isfinite(value))
    throw RangeError(fmt::format("layer {} has a {} that is not finite", layer.name, what));
}

/// Codes of one channel's weights. A bias that goes into the accumulator may need a coarser one to
/// stay within 30 bits.
WeightCodes channel_codes(const Layer& layer, std::size_t out, std::size_t columns,
                          const numeric::ElementFormat& format, const Steps& in) {
  const std::span weights = std::span(layer.weight).subspan(out * columns, columns);
  for (const float weight : weights) demand_finite(double{weight}, layer, "weight");
  demand_finite(double{layer.bias[out]}, layer, "bias");
  double scale =
      layer.weight_scale.empty() ? choose_scale(weights, format) : double{layer.weight_scale[out]};
  if (!(std::isfinite(scale) && scale >= 0))
    throw RangeError(fmt::format("layer {} has a weight scale of {}", layer.name, scale));
  if (format.bits == 8)
    scale = std::max(scale, std::abs(double{layer.bias[out]}) / (in.step * bias_limit));
  return weight_codes(weights, format, scale > 0 ? scale : 1.0);
}

/// What rounding the weights takes from an output on average (bias correction: Nagel et al. 2019,
/// arXiv 1906.04721, section 4.2). Weights that training has rounded itself lose nothing.
double lost_mean(const Layer& layer, std::size_t out, const WeightCodes& weights, double code_sum,
                 const Steps& in) {
  if (!layer.weight_scale.empty() || in.mean == 0) return 0;
  const std::size_t columns = weights.codes.size();
  double sum = 0;
  for (std::size_t i = 0; i < columns; ++i) sum += double{layer.weight[out * columns + i]};
  return in.mean * (sum - weights.scale * code_sum);
}

/// y = unit · accumulator + constant of one output channel, before the activation.
Affine affine_of(const Layer& layer, std::size_t out, const WeightCodes& weights, const Steps& in) {
  double code_sum = 0;
  for (const std::int8_t code : weights.codes) code_sum += code;
  const double gain = layer.gain.empty() ? 1.0 : double{layer.gain[out]};
  const double offset = layer.offset.empty() ? 0.0 : double{layer.offset[out]};
  demand_finite(gain, layer, "gain");
  demand_finite(offset, layer, "offset");
  const double shift = in.offset * weights.scale * code_sum + double{layer.bias[out]} +
                       lost_mean(layer, out, weights, code_sum, in);
  return {gain * (in.step * weights.scale), gain * shift + offset};
}

void pack_layer(const Layer& source, PackedLayer& layer, const numeric::Format& format,
                const Steps& in, const Steps& steps) {
  const bool conv = layer.kind == LayerKind::conv2d;
  const int rows = conv ? layer.kernel : layer.in_height;
  const int columns = conv ? layer.kernel : layer.in_width;
  const std::size_t per_output =
      static_cast<std::size_t>(layer.in_channels) * static_cast<std::size_t>(rows * columns);
  demand_size(source.weight, static_cast<std::size_t>(layer.out_channels) * per_output, source,
              "weights");
  layer.weights.assign(layer.weight_bytes(), 0);
  layer.parameters.assign(layer.parameter_count(), 0);
  for (int out = 0; out < layer.tiles() * engine::pe; ++out)
    layer.set_channel(out, idle_channel(layer.out_bits));
  for (int out = 0; out < layer.out_channels; ++out) {
    const auto o = static_cast<std::size_t>(out);
    const WeightCodes weights = channel_codes(source, o, per_output, format.weights, in);
    std::size_t i = 0;
    for (int channel = 0; channel < layer.in_channels; ++channel) {
      for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; ++column, ++i)
          layer.set_weight(out, channel, row, column, weights.codes[i]);
      }
    }
    Affine affine = affine_of(source, o, weights, in);
    layer.scales.push_back(static_cast<float>(affine.unit));
    // Accumulators of 8-bit weights are fine enough to hold their bias; others leave it to the
    // host.
    const bool bias_inside = layer.out_bits != engine::raw_bits || format.weights.bits == 8;
    layer.biases.push_back(bias_inside ? 0.0F : static_cast<float>(affine.constant));
    if (!bias_inside) affine.constant = 0;
    layer.set_channel(out, channel_law(affine, layer.out_bits, steps));
  }
}

/// Steps of a hidden layer's activations.
Steps steps_of(const Layer& layer, int bits, const Calibration& calibration) {
  const int levels = bits == 8 ? 127 : engine::levels(bits);
  double step = double{layer.output_step};
  if (!(step > 0) && layer.activation == Activation::sign) step = 1;
  if (!(step > 0)) {
    const double largest = usable_range(double{layer.output_range}, layer.name);
    step = choose_range(calibration, largest, layer.output_histogram, levels) / levels;
  }
  if (bits > 1) return {step, 0, step / 2, 0};
  // −1 and +1 stand for −step and +step behind a sign; behind a ReLU for 0 and `step`.
  if (layer.activation == Activation::sign) return {step, 0, 0, 0};
  return {step / 2, step / 2, step / 2, 0};
}

PackedNetwork shape_of(const Network& network, const std::string& format, std::uint64_t version) {
  PackedNetwork packed;
  packed.format = format;
  packed.model = network.model;
  packed.version = version;
  packed.channels = network.channels;
  packed.height = network.height;
  packed.width = network.width;
  packed.classes = network.classes;
  int channels = network.channels, height = network.height, width = network.width;
  for (const Layer& layer : network.layers) {
    packed.layers.push_back(shape_of(layer, channels, height, width));
    channels = layer.out_channels;
    height = layer.out_height;
    width = layer.out_width;
  }
  assign_bits(packed);
  check_layers(packed);
  return packed;
}

}  // namespace

WeightPack pack(const Network& network, const std::string& format_name, std::uint64_t version,
                const Calibration& calibration) {
  if (is_forward_format(format_name))
    return pack_forward(network, format_name, version, calibration);
  const numeric::Format format = fpga_format(format_name);
  PackedNetwork packed = shape_of(network, format_name, version);
  Steps in = {usable_range(double{network.input_range}, "the input") / 127, 0, 0, 0};
  packed.input_tables = input_tables(network, in.step);
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& source = network.layers[i];
    PackedLayer& layer = packed.layers[i];
    // Codes as many below zero as above lose nothing on average; those of w2 do.
    const bool skewed = format.weights.lowest != -format.weights.highest;
    const double mean = skewed ? source.output_histogram.mean() : 0;
    if (layer.kind == LayerKind::max_pool) {  // maxima keep the step of what they choose
      in.mean = mean;
      continue;
    }
    const bool last = i + 1 == network.layers.size();
    const Steps out = last ? Steps{} : steps_of(source, layer.out_bits, calibration);
    demand_parts(source);
    pack_layer(format.weights.bits == 8 ? folded(source) : source, layer, format, in, out);
    in = out;
    in.mean = mean;
  }
  return serialise(packed);
}

}  // namespace dovetail::quant
