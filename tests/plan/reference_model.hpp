// A whole model in float64, put together from the twins: the truth that plans are held against.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/model.hpp"
#include "model/optimizer.hpp"
#include "ops/reference/activation.hpp"
#include "ops/reference/batch_norm.hpp"
#include "ops/reference/conv2d.hpp"
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

/// Logits [batch, classes] in training mode (batch statistics; dropout is not covered here).
inline Values forward(const Model& model, const ParameterMap& parameters,
                      const InputStatistics& input, const std::vector<std::uint8_t>& images) {
  const auto batch = images.size() / static_cast<std::size_t>(model.input().size());
  const Values mean(input.mean.begin(), input.mean.end()),
      deviation(input.deviation.begin(), input.deviation.end());
  Values x = reference::normalise_input(
      images, static_cast<std::size_t>(model.input().height * model.input().width), mean,
      deviation);
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
                     return reference::conv2d(e, x, value(".weight"), bias(c.bias, c.out), false);
                   },
                   [&](const layer::Dense& d) {
                     const reference::MatmulExtents e{batch, static_cast<std::size_t>(in.size()),
                                                      static_cast<std::size_t>(d.out)};
                     return reference::matmul(e, x, value(".weight"), bias(d.bias, d.out), false);
                   },
                   [&](const layer::Relu&) { return reference::relu(x); },
                   [&](const layer::MaxPool& p) {
                     return reference::max_pool(pool(p.kernel, p.stride), x);
                   },
                   [&](const layer::AveragePool& p) {
                     return reference::average_pool(pool(p.kernel, p.stride), x);
                   },
                   [&](const layer::BatchNorm& b) {
                     const auto statistics = reference::channel_statistics(
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
                       const std::vector<std::int32_t>& labels, LossKind loss) {
  const Values logits = forward(model, parameters, input, images);
  if (loss == LossKind::cross_entropy) return reference::softmax_cross_entropy(logits, labels).loss;
  const std::size_t classes = static_cast<std::size_t>(model.classes());
  Values target(logits.size(), 0.0);
  for (std::size_t i = 0; i < labels.size(); ++i)
    target[i * classes + static_cast<std::size_t>(labels[i])] = 1;
  return reference::mean_squared_error(logits, target, classes).loss;
}

}  // namespace dovetail::testing
