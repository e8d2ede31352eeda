// Walks the model's layers and writes the FPGA's.
#include "plan/fpga_network.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "ops/reference/fake_quantise.hpp"
#include "support/error.hpp"

namespace dovetail::plan {
namespace {

const std::vector<float>& values_of(const std::vector<Parameter>& parameters,
                                    std::string_view name) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [&](const Parameter& p) { return p.name == name; });
  if (found == parameters.end()) throw Error(fmt::format("there is no parameter {}", name));
  return found->value.values;
}

quant::Layer describe(const PlacedLayer& placed, quant::LayerKind kind) {
  quant::Layer layer;
  layer.kind = kind;
  layer.name = placed.name;
  layer.in_channels = placed.in.channels;
  layer.in_height = placed.in.height;
  layer.in_width = placed.in.width;
  layer.out_channels = placed.out.channels;
  layer.out_height = placed.out.height;
  layer.out_width = placed.out.width;
  return layer;
}

[[noreturn]] void refuse(const Model& model, const char* what) {
  throw UsageError(
      fmt::format("the FPGA kernels have no {}, which model {} needs", what, model.name()),
      "Train it without FPGA ranks (--fpga-ranks 0)");
}

/// y = γ (Wx + b − μ) / √(σ² + ε) + β as a gain and an offset behind Wx + b.
void attach(quant::Layer& layer, const PlacedLayer& placed, const layer::BatchNorm& norm,
            const std::vector<Parameter>& parameters, const std::vector<Parameter>& statistics) {
  const auto& gamma = values_of(parameters, placed.name + ".weight");
  const auto& beta = values_of(parameters, placed.name + ".bias");
  const auto& mean = values_of(statistics, placed.name + ".running_mean");
  const auto& variance = values_of(statistics, placed.name + ".running_var");
  for (std::size_t o = 0; o < layer.bias.size(); ++o) {
    const float gain = gamma[o] / std::sqrt(variance[o] + norm.epsilon);
    layer.gain.push_back(gain);
    layer.offset.push_back(beta[o] - mean[o] * gain);
  }
}

/// The weights as quantisation-aware training multiplied with them, and their steps.
void quantise(quant::Layer& layer, const WeightLaw& law) {
  const std::vector<double> weight(layer.weight.begin(), layer.weight.end());
  std::vector<double> steps =
      reference::weight_steps(law, weight, static_cast<std::size_t>(layer.out_channels));
  for (const double step : steps)  // a channel of zeros: any scale but 0, which means unknown
    layer.weight_scale.push_back(std::max(static_cast<float>(step), 1e-30f));
  const std::vector<double> rounded = reference::quantise_weights(law, weight, steps);
  layer.weight.assign(rounded.begin(), rounded.end());
}

/// The activation of quantisation-aware training; a sign's step is 1.
void attach(quant::Layer& layer, const PlacedLayer& placed,
            const layer::QuantisedActivation& activation, const std::vector<Parameter>& parameters,
            const std::vector<Parameter>& statistics) {
  if (activation.law.binary) {
    layer.activation = quant::Activation::sign;
    layer.output_step = 1;
    return;
  }
  layer.activation = quant::Activation::relu;
  layer.output_step =
      std::max(values_of(activation.learned ? parameters : statistics, placed.name + ".step")[0],
               numeric::least_activation_step);
}

/// What calibration saw behind model layer `index`.
void attach_range(quant::Layer& layer, const Plan::Ranges& ranges, std::size_t index) {
  layer.output_range = ranges.layers[index];
  if (!ranges.histograms.empty()) layer.output_histogram = ranges.histograms[index];
}

}  // namespace

quant::Network fpga_network(const Model& model, const std::vector<Parameter>& parameters,
                            const std::vector<Parameter>& statistics, const InputStatistics& input,
                            const Plan::Ranges& ranges) {
  quant::Network network;
  network.model = model.name();
  network.channels = model.input().channels;
  network.height = model.input().height;
  network.width = model.input().width;
  network.classes = model.classes();
  network.input_mean = input.mean;
  network.input_deviation = input.deviation;
  network.input_range =
      model.quantisation() ? numeric::largest_input(input.mean, input.deviation) : ranges.input;

  bool linear_before = false;  // may a batch norm or a ReLU still join the newest layer?
  const auto add_linear = [&](const PlacedLayer& placed, quant::LayerKind kind, bool has_bias,
                              const std::optional<WeightLaw>& law) -> quant::Layer& {
    quant::Layer layer = describe(placed, kind);
    layer.weight = values_of(parameters, placed.name + ".weight");
    layer.bias = has_bias ? values_of(parameters, placed.name + ".bias")
                          : std::vector<float>(static_cast<std::size_t>(placed.out.channels), 0.0f);
    if (law) quantise(layer, *law);
    linear_before = true;
    network.layers.push_back(std::move(layer));
    return network.layers.back();
  };
  for (std::size_t i = 0; i < model.layers().size(); ++i) {
    const PlacedLayer& placed = model.layers()[i];
    std::visit(
        Overloaded{[&](const layer::Conv2d& conv) {
                     quant::Layer& layer =
                         add_linear(placed, quant::LayerKind::conv2d, conv.bias, conv.quantised);
                     layer.kernel = conv.kernel;
                     layer.stride = conv.stride;
                     layer.padding = conv.padding;
                   },
                   [&](const layer::Dense& dense) {
                     add_linear(placed, quant::LayerKind::dense, dense.bias, dense.quantised);
                   },
                   [&](const layer::BatchNorm& norm) {
                     if (!linear_before || !network.layers.back().gain.empty() ||
                         network.layers.back().activation != quant::Activation::none)
                       refuse(model, "batch norm on its own");
                     attach(network.layers.back(), placed, norm, parameters, statistics);
                   },
                   [&](const layer::Relu&) {
                     if (!linear_before) refuse(model, "ReLU on its own");
                     network.layers.back().activation = quant::Activation::relu;
                   },
                   [&](const layer::QuantisedActivation& activation) {
                     if (!linear_before) refuse(model, "activation on its own");
                     attach(network.layers.back(), placed, activation, parameters, statistics);
                   },
                   [&](const layer::MaxPool& pool) {
                     quant::Layer layer = describe(placed, quant::LayerKind::max_pool);
                     layer.kernel = pool.kernel;
                     layer.stride = pool.stride;
                     network.layers.push_back(std::move(layer));
                     linear_before = false;
                   },
                   [&](const layer::AveragePool&) { refuse(model, "average pool"); },
                   [](const layer::Dropout&) {}},
        placed.layer);
    if (ranges.layers[i] > 0 && !network.layers.empty())
      attach_range(network.layers.back(), ranges, i);
  }
  return network;
}

}  // namespace dovetail::plan
