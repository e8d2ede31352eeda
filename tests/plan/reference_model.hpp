// A whole model in float64, put together from the twins: the truth that plans are held against.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/model.hpp"
#include "model/optimizer.hpp"
#include "ops/reference/activation.hpp"
#include "ops/reference/batch_norm.hpp"
#include "ops/reference/conv2d.hpp"
#include "ops/reference/fake_quantise.hpp"
#include "ops/reference/loss.hpp"
#include "ops/reference/matmul.hpp"
#include "ops/reference/pool2d.hpp"
#include "plan/plan.hpp"

namespace dovetail::testing {

using Values = std::vector<double>;

/// Parameters by name.
using ParameterMap = std::map<std::string, Values>;

inline ParameterMap to_map(const std::vector<Parameter>& parameters) {
  ParameterMap map;
  for (const Parameter& p : parameters)
    map[p.name] = {p.value.values.begin(), p.value.values.end()};
  return map;
}

/// The straight-through gradient of a quantised network is the true gradient of a smooth one: each
/// rounding becomes "what it was at the base point, plus the change of what the gradient passes".
/// The first forward pass with a surrogate fixes the base point, later ones move away from it.
class Surrogate {
 public:
  /// Starts another pass.
  void rewind() { next_ = 0; }
  /// How far, in codes, the closest value at the base point is from rounding or passing otherwise.
  double narrowest() const { return narrowest_; }
  Values weights(const numeric::WeightLaw& law, const Values& weight, std::size_t outputs) {
    Base& base = record(weight, [&](Base& made) {
      made.steps = reference::weight_steps(law, weight, outputs);
      made.y = reference::quantise_weights(law, weight, made.steps);
      made.passes = reference::weight_gradient(law, weight, made.steps, Values(weight.size(), 1.0));
      for (std::size_t i = 0; i < weight.size(); ++i)
        decide(law.binary, weight[i], made.steps[i / (weight.size() / outputs)]);
    });
    Values y = base.y;
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += base.passes[i] * (weight[i] - base.x[i]);
    return y;
  }
  /// In range y = x + step · (round(v) − v at the base point), above it step · highest: equation 1
  /// of Esser et al. 2020 with the rounding's error held fast. The step's change counts times the
  /// gradient scale.
  Values activations(const numeric::ActivationLaw& law, const Values& x, double step,
                     double gradient_scale) {
    Base& base = record(x, [&](Base& made) {
      made.steps = {step};
      made.y = reference::quantise_activations(law, x, step);
      made.passes = reference::activation_gradient(law, x, step, Values(x.size(), 1.0));
      for (const double value : x) {
        decide(law.binary, value, step);
        narrowest_ = std::min(
            narrowest_,
            law.binary ? std::abs(std::abs(value) - 1)
                       : std::min(std::abs(value / step), std::abs(value / step - law.highest)));
      }
    });
    Values y = base.y;
    const double moved = gradient_scale * (step - base.steps[0]);
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] += base.passes[i] * (x[i] - base.x[i]);
      if (law.binary) continue;
      const double v = base.x[i] / base.steps[0];
      y[i] += moved * (base.passes[i] > 0 ? std::round(v) - v : (v > 0 ? law.highest : 0));
    }
    return y;
  }

 private:
  struct Base {
    Values x, y, passes, steps;
  };
  void decide(bool binary, double value, double step) {
    const double v = std::abs(value / step);
    narrowest_ = std::min(narrowest_, binary ? std::abs(value) : std::abs(v - std::floor(v) - 0.5));
  }
  template <typename Make>
  Base& record(const Values& x, Make make) {
    if (next_ == bases_.size()) {
      bases_.push_back({});
      bases_.back().x = x;
      make(bases_.back());
    }
    return bases_[next_++];
  }
  std::size_t next_ = 0;
  std::vector<Base> bases_;
  double narrowest_ = 1;
};

/// Logits [batch, classes] in training mode (batch statistics; dropout is not covered here), or
/// with `running` statistics. Quantised layers need a surrogate.
inline Values forward(const Model& model, const ParameterMap& parameters,
                      const InputStatistics& input, const std::vector<std::uint8_t>& images,
                      Surrogate* surrogate = nullptr, const ParameterMap* running = nullptr) {
  if (surrogate) surrogate->rewind();
  const auto batch = images.size() / static_cast<std::size_t>(model.input().size());
  const Values mean(input.mean.begin(), input.mean.end()),
      deviation(input.deviation.begin(), input.deviation.end());
  Values x = reference::normalise_input(
      images, static_cast<std::size_t>(model.input().height * model.input().width), mean,
      deviation);
  if (model.quantisation()) {
    const std::vector<float> table = numeric::quantised_input_table(input.mean, input.deviation);
    const auto pixels = static_cast<std::size_t>(model.input().height * model.input().width);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<double>(table[i / pixels % mean.size() * 256 + images[i]]);
  }
  for (const PlacedLayer& placed : model.layers()) {
    const FeatureShape& in = placed.in;
    const std::size_t pixels = static_cast<std::size_t>(in.height * in.width);
    const auto pool = [&](int kernel, int stride) {
      return reference::Pool{.images = batch * static_cast<std::size_t>(in.channels),
                             .height = static_cast<std::size_t>(in.height),
                             .width = static_cast<std::size_t>(in.width),
                             .kernel = static_cast<std::size_t>(kernel),
                             .stride = static_cast<std::size_t>(stride)};
    };
    const auto value = [&](const char* part) -> const Values& {
      return parameters.at(placed.name + part);
    };
    const auto bias = [&](bool has_bias, int out) {
      return has_bias ? value(".bias") : Values(static_cast<std::size_t>(out), 0.0);
    };
    const auto weight = [&](const std::optional<numeric::WeightLaw>& law, int out) {
      return law ? surrogate->weights(*law, value(".weight"), static_cast<std::size_t>(out))
                 : value(".weight");
    };
    x = std::visit(
        Overloaded{[&](const layer::Conv2d& c) {
                     const reference::Conv2dExtents e{static_cast<int>(batch),
                                                      in.channels,
                                                      c.out,
                                                      in.height,
                                                      in.width,
                                                      c.kernel,
                                                      c.stride,
                                                      c.padding};
                     return reference::conv2d(e, x, weight(c.quantised, c.out), bias(c.bias, c.out),
                                              false);
                   },
                   [&](const layer::Dense& d) {
                     const reference::MatmulExtents e{batch, static_cast<std::size_t>(in.size()),
                                                      static_cast<std::size_t>(d.out)};
                     return reference::matmul(e, x, weight(d.quantised, d.out), bias(d.bias, d.out),
                                              false);
                   },
                   [&](const layer::Relu&) { return reference::relu(x); },
                   [&](const layer::QuantisedActivation& a) {
                     const double step = a.law.binary ? 1.0 : value(".step")[0];
                     return surrogate->activations(
                         a.law, x, step, 1 / std::sqrt(double(in.size()) * a.law.highest));
                   },
                   [&](const layer::MaxPool& p) {
                     return reference::max_pool(pool(p.kernel, p.stride), x);
                   },
                   [&](const layer::AveragePool& p) {
                     return reference::average_pool(pool(p.kernel, p.stride), x);
                   },
                   [&](const layer::BatchNorm& b) {
                     using Statistics = reference::ChannelStatistics<double>;
                     const auto seen = [&](const char* part) {
                       return running->at(placed.name + part);
                     };
                     const Statistics statistics =
                         running ? Statistics{seen(".running_mean"), seen(".running_var")}
                                 : reference::channel_statistics(
                                       x, static_cast<std::size_t>(in.channels), pixels);
                     return reference::batch_norm(x, pixels, statistics, value(".weight"),
                                                  value(".bias"), static_cast<double>(b.epsilon));
                   },
                   [&](const layer::Dropout&) { return x; }},
        placed.layer);
  }
  return x;
}

/// The sum of the losses over the batch.
inline double loss_sum(const Model& model, const ParameterMap& parameters,
                       const InputStatistics& input, const std::vector<std::uint8_t>& images,
                       const std::vector<std::int32_t>& labels, LossKind loss,
                       Surrogate* surrogate = nullptr) {
  const Values logits = forward(model, parameters, input, images, surrogate);
  if (loss == LossKind::cross_entropy) return reference::softmax_cross_entropy(logits, labels).loss;
  return reference::mean_squared_error(logits, labels).loss;
}

}  // namespace dovetail::testing
