// Infers shapes and parameters from the layers, and draws initial values.
#include "model/model.hpp"

#include <algorithm>
#include <cmath>

#include "support/error.hpp"
#include "support/random.hpp"
#include "tensor/layout.hpp"

namespace dovetail {
namespace {

int windows(int extent, int padding, int kernel, int stride) {
  return (extent + 2 * padding - kernel) / stride + 1;
}

FeatureShape slide(const FeatureShape& in, int channels, int kernel, int stride, int padding) {
  return {channels, windows(in.height, padding, kernel, stride),
          windows(in.width, padding, kernel, stride)};
}

FeatureShape output_of(const Layer& layer, const FeatureShape& in) {
  return std::visit(Overloaded{[&](const layer::Conv2d& conv) {
                                 return slide(in, conv.out, conv.kernel, conv.stride, conv.padding);
                               },
                               [&](const layer::Dense& dense) {
                                 return FeatureShape{dense.out, 1, 1};
                               },
                               [&](const layer::MaxPool& pool) {
                                 return slide(in, in.channels, pool.kernel, pool.stride, 0);
                               },
                               [&](const layer::AveragePool& pool) {
                                 return slide(in, in.channels, pool.kernel, pool.stride, 0);
                               },
                               [&](const auto&) { return in; }},
                    layer);
}

/// The window must fit into its (padded) input, or no output is left.
void expect_fit(const std::string& model, const FeatureShape& in, int kernel, int padding) {
  if (in.height + 2 * padding < kernel || in.width + 2 * padding < kernel) {
    throw UsageError(
        fmt::format(
            "model {} cannot take this data set: a {}x{} window does not fit feature maps of {}x{}",
            model, kernel, kernel, in.height, in.width),
        "Choose a model for smaller images, or larger images");
  }
}

/// A weight of so many elements, the product of `extents`, must be one that kernels can index.
void expect_indexable(const std::string& model, const std::string& layer,
                      std::initializer_list<int> extents) {
  std::int64_t elements = 1;
  for (const int value : extents) {
    if (elements <= most_elements) elements *= value;
  }
  if (elements <= most_elements) return;
  throw UsageError(
      fmt::format("model {} cannot take this data set: {}.weight, {}, has 2^31 elements or more",
                  model, layer, fmt::join(extents, " x ")),
      "Choose smaller images, or a model with fewer channels");
}

/// 2 ⟨max(0, x)⟩ / √highest for normally distributed x (Esser et al. 2020, section 2.1), until
/// there is data to say better.
float first_step(const numeric::ActivationLaw& law) {
  return 0.8f / std::sqrt(static_cast<float>(law.highest));
}

std::vector<Parameter> draw(const std::vector<ParameterSpec>& specs, std::uint64_t seed) {
  std::vector<Parameter> values;
  SplitMix64 random(seed);
  for (const ParameterSpec& spec : specs) {
    Parameter parameter{spec.name, Tensor(spec.shape)};
    for (float& value : parameter.value.values) {
      value = spec.initial_value;
      if (spec.initial_bound > 0) value += random.uniform(-spec.initial_bound, spec.initial_bound);
    }
    values.push_back(std::move(parameter));
  }
  return values;
}

}  // namespace

Model::Model(std::string name, FeatureShape input, const std::vector<Layer>& layers)
    : name_(std::move(name)), input_(input) {
  if (layers.empty()) throw UsageError(fmt::format("model {} has no layers", name_));
  for (const Layer& layer : layers) place(layer);
}

Model Model::quantised(const Quantisation& quantisation) const {
  const numeric::Format format = numeric::parse_format(quantisation.format);
  const numeric::WeightLaw weights = weight_law(format.weights);
  const numeric::ActivationLaw activations = activation_law(format.activations);
  std::vector<Layer> layers;
  for (const PlacedLayer& placed : layers_) {
    layers.push_back(placed.layer);
    std::visit(Overloaded{[&](layer::Conv2d& conv) { conv.quantised = weights; },
                          [&](layer::Dense& dense) { dense.quantised = weights; }, [](auto&) {}},
               layers.back());
    if (std::holds_alternative<layer::Relu>(layers.back())) {
      layers.back() = layer::QuantisedActivation{
          .law = activations, .learned = quantisation.steps == StepKind::learned};
    }
  }
  Model model(name_, input_, layers);
  model.quantisation_ = quantisation;
  return model;
}

std::string Model::next_name(const char* kind) {
  const auto same_kind = [&](const PlacedLayer& placed) { return placed.name.starts_with(kind); };
  return fmt::format("{}{}", kind, 1 + std::count_if(layers_.begin(), layers_.end(), same_kind));
}

void Model::place(const Layer& layer) {
  const FeatureShape in = layers_.empty() ? input_ : layers_.back().out;
  const std::size_t index = layers_.size();
  const auto extent = [](int value) { return static_cast<std::size_t>(value); };
  std::string name;
  const auto learn = [&](const char* part, Shape shape, float bound, float value) {
    parameters_.push_back({name + part, std::move(shape), index, bound, value});
  };
  std::visit(
      Overloaded{
          [&](const layer::Conv2d& conv) {
            expect_fit(name_, in, conv.kernel, conv.padding);
            name = next_name("conv");
            expect_indexable(name_, name, {conv.out, in.channels, conv.kernel, conv.kernel});
            const float bound =
                1 / std::sqrt(static_cast<float>(in.channels * conv.kernel * conv.kernel));
            learn(".weight",
                  {extent(conv.out), extent(in.channels), extent(conv.kernel), extent(conv.kernel)},
                  bound, 0);
            if (conv.bias) learn(".bias", {extent(conv.out)}, bound, 0);
          },
          [&](const layer::Dense& dense) {
            name = next_name("dense");
            expect_indexable(name_, name, {dense.out, in.channels, in.height, in.width});
            const float bound = 1 / std::sqrt(static_cast<float>(in.size()));
            learn(".weight", {extent(dense.out), extent(in.size())}, bound, 0);
            if (dense.bias) learn(".bias", {extent(dense.out)}, bound, 0);
          },
          [&](const layer::BatchNorm&) {
            name = next_name("norm");
            learn(".weight", {extent(in.channels)}, 0, 1);
            learn(".bias", {extent(in.channels)}, 0, 0);
            statistics_.push_back({name + ".running_mean", {extent(in.channels)}, index, 0, 0});
            statistics_.push_back({name + ".running_var", {extent(in.channels)}, index, 0, 1});
          },
          [&](const layer::QuantisedActivation& activation) {
            name = next_name("act");
            if (activation.law.binary) return;
            const auto kept = activation.learned ? &parameters_ : &statistics_;
            kept->push_back({name + ".step", {1}, index, 0, first_step(activation.law)});
          },
          [&](const layer::MaxPool& pool) { expect_fit(name_, in, pool.kernel, 0); },
          [&](const layer::AveragePool& pool) { expect_fit(name_, in, pool.kernel, 0); },
          [](const auto&) {}},
      layer);
  layers_.push_back({name, layer, in, output_of(layer, in)});
}

std::size_t Model::parameter_count() const {
  std::size_t count = 0;
  for (const ParameterSpec& spec : parameters_) count += volume(spec.shape);
  return count;
}

std::vector<Parameter> Model::initial_parameters(std::uint64_t seed) const {
  return draw(parameters_, seed);
}

std::vector<Parameter> Model::initial_statistics() const {
  return draw(statistics_, 0);
}

}  // namespace dovetail
