// Walks the layers; a batch norm behind a linear layer scales and shifts what that layer has.
#include "model/folded.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "support/error.hpp"

namespace dovetail {
namespace {

using Values = std::vector<double>;

const Parameter& named(const std::vector<Parameter>& parameters, std::string_view name) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [&](const Parameter& p) { return p.name == name; });
  if (found == parameters.end()) throw Error(fmt::format("there is no parameter {}", name));
  return *found;
}

/// Per channel.
Values channels_of(const std::vector<Parameter>& parameters, const std::string& name,
                   std::size_t channels) {
  const std::vector<float>& values = named(parameters, name).value.values;
  if (values.size() != channels)
    throw Error(fmt::format("{} has {} values, not {}", name, values.size(), channels));
  return {values.begin(), values.end()};
}

bool is_quantised(const Model& model) {
  const auto& layers = model.layers();
  return model.quantisation() || std::any_of(layers.begin(), layers.end(), [](const auto& placed) {
           return std::visit(Overloaded{[](const layer::Conv2d& conv) { return !!conv.quantised; },
                                        [](const layer::Dense& dense) { return !!dense.quantised; },
                                        [](const layer::QuantisedActivation&) { return true; },
                                        [](const auto&) { return false; }},
                             placed.layer);
         });
}

/// The bias flag of a convolution or dense layer.
bool* bias_of(Layer& layer) {
  return std::visit(Overloaded{[](layer::Conv2d& conv) { return &conv.bias; },
                               [](layer::Dense& dense) { return &dense.bias; },
                               [](auto&) -> bool* { return nullptr; }},
                    layer);
}

/// y = gain · x + offset, per channel.
struct Affine {
  Values gain, offset;
  void append(const Affine& behind) {
    for (std::size_t c = 0; c < gain.size(); ++c) {
      gain[c] *= behind.gain[c];
      offset[c] = offset[c] * behind.gain[c] + behind.offset[c];
    }
  }
};

Affine affine_of(const PlacedLayer& placed, const layer::BatchNorm& norm,
                 const std::vector<Parameter>& parameters,
                 const std::vector<Parameter>& statistics) {
  const auto channels = static_cast<std::size_t>(placed.out.channels);
  Affine affine{channels_of(parameters, placed.name + ".weight", channels),
                channels_of(parameters, placed.name + ".bias", channels)};
  const Values mean = channels_of(statistics, placed.name + ".running_mean", channels);
  const Values variance = channels_of(statistics, placed.name + ".running_var", channels);
  for (std::size_t c = 0; c < channels; ++c) {
    affine.gain[c] /= std::sqrt(variance[c] + static_cast<double>(norm.epsilon));
    affine.offset[c] -= mean[c] * affine.gain[c];
  }
  return affine;
}

/// Layers that become one: a linear one with the batch norms behind it, or any other alone.
struct Joined {
  std::size_t first = 0, last = 0;
  bool folds() const { return last > first; }
};

/// Of all batch norms behind the first of the layers.
Affine affine_behind(const Model& model, const Joined& joined,
                     const std::vector<Parameter>& parameters,
                     const std::vector<Parameter>& statistics) {
  const auto channels = static_cast<std::size_t>(model.layers()[joined.first].out.channels);
  Affine affine{Values(channels, 1.0), Values(channels, 0.0)};
  for (std::size_t i = joined.first + 1; i <= joined.last; ++i) {
    const PlacedLayer& placed = model.layers()[i];
    affine.append(
        affine_of(placed, std::get<layer::BatchNorm>(placed.layer), parameters, statistics));
  }
  return affine;
}

std::vector<Joined> join(const Model& model) {
  const auto& layers = model.layers();
  std::vector<Joined> all;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    Layer layer = layers[i].layer;
    Joined joined{i, i};
    while (bias_of(layer) && joined.last + 1 < layers.size() &&
           std::holds_alternative<layer::BatchNorm>(layers[joined.last + 1].layer))
      ++joined.last;
    i = joined.last;
    all.push_back(joined);
  }
  return all;
}

Model joined_model(const Model& model, const std::vector<Joined>& all) {
  std::vector<Layer> layers;
  for (const Joined& joined : all) {
    layers.push_back(model.layers()[joined.first].layer);
    if (joined.folds()) *bias_of(layers.back()) = true;
  }
  return {model.name(), model.input(), layers};
}

/// What `spec` of the new model, of the layer that was `placed`, is called in the old one.
std::string old_name(const ParameterSpec& spec, const PlacedLayer& placed) {
  return placed.name + spec.name.substr(spec.name.find('.'));
}

/// The old value under its new name; of a bias that was not there, zeros.
Parameter taken_over(const ParameterSpec& spec, const PlacedLayer& placed,
                     const std::vector<Parameter>& values) {
  Layer old = placed.layer;
  const bool* has_bias = bias_of(old);
  if (has_bias && !*has_bias && spec.name.ends_with(".bias"))
    return {spec.name, Tensor(spec.shape)};
  Parameter parameter{spec.name, named(values, old_name(spec, placed)).value};
  if (parameter.value.shape != spec.shape) {
    throw Error(fmt::format("{} is {}, not {}", old_name(spec, placed),
                            to_string(parameter.value.shape), to_string(spec.shape)));
  }
  return parameter;
}

void apply(const Affine& affine, Parameter& parameter) {
  const bool is_bias = parameter.value.shape.size() == 1;
  std::vector<float>& values = parameter.value.values;
  const std::size_t columns = values.size() / affine.gain.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t c = i / columns;
    const double scaled = static_cast<double>(values[i]) * affine.gain[c];
    values[i] = static_cast<float>(is_bias ? scaled + affine.offset[c] : scaled);
  }
}

}  // namespace

TrainedModel folded(const Model& model, const std::vector<Parameter>& parameters,
                    const std::vector<Parameter>& statistics) {
  const std::vector<Joined> all = join(model);
  const bool any = std::any_of(all.begin(), all.end(), [](const Joined& j) { return j.folds(); });
  if (!any || is_quantised(model)) return {model, parameters, statistics};

  const auto& layers = model.layers();
  TrainedModel result{joined_model(model, all), {}, {}};
  for (const ParameterSpec& spec : result.model.parameters()) {
    const Joined& joined = all[spec.layer];
    Parameter parameter = taken_over(spec, layers[joined.first], parameters);
    if (joined.folds()) apply(affine_behind(model, joined, parameters, statistics), parameter);
    result.parameters.push_back(std::move(parameter));
  }
  for (const ParameterSpec& spec : result.model.statistics())
    result.statistics.push_back(taken_over(spec, layers[all[spec.layer].first], statistics));
  return result;
}

}  // namespace dovetail
