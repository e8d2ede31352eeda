// The layers that a model is made of: what to compute, no device in sight.
#pragma once

#include <optional>
#include <variant>

#include "numeric/quantisation_law.hpp"

namespace dovetail {

/// Feature maps of one sample. A vector is a feature map of height 1 and width 1.
struct FeatureShape {
  int channels = 0;
  int height = 1;
  int width = 1;
  int size() const { return channels * height * width; }
  bool operator==(const FeatureShape&) const = default;
};

namespace layer {

/// Cross-correlation, as torch.nn.Conv2d. The input channels come from the layer before.
struct Conv2d {
  int out = 0;
  int kernel = 3;
  int stride = 1;
  int padding = 0;
  bool bias = true;  // a batch norm behind it makes a bias idle
  std::optional<numeric::WeightLaw> quantised = std::nullopt;  // multiplies with rounded weights
};

/// Fully connected, as torch.nn.Linear; feature maps are flattened as [channels, height, width].
struct Dense {
  int out = 0;
  bool bias = true;
  std::optional<numeric::WeightLaw> quantised = std::nullopt;
};

struct Relu {};

/// What stands for a ReLU in quantisation-aware training. Other than binary ones have a step, a
/// parameter where `learned`, else kept with the batch norms' statistics.
struct QuantisedActivation {
  numeric::ActivationLaw law;
  bool learned = true;
};

struct MaxPool {
  int kernel = 2;
  int stride = 2;
};

struct AveragePool {
  int kernel = 2;
  int stride = 2;
};

/// As torch.nn.BatchNorm2d, and BatchNorm1d for vectors: `momentum` is the weight of the newest
/// batch in the running statistics.
struct BatchNorm {
  float epsilon = 1e-5f;
  float momentum = 0.1f;
};

struct Dropout {
  float probability = 0.5f;
};

}  // namespace layer

using Layer = std::variant<layer::Conv2d, layer::Dense, layer::Relu, layer::QuantisedActivation,
                           layer::MaxPool, layer::AveragePool, layer::BatchNorm, layer::Dropout>;

/// Joins lambdas into one visitor for std::visit.
template <typename... Lambdas>
struct Overloaded : Lambdas... {
  using Lambdas::operator()...;
};
template <typename... Lambdas>
Overloaded(Lambdas...) -> Overloaded<Lambdas...>;  // which clang 14 does not deduce by itself

}  // namespace dovetail
