// Fusion and memory layout.
#include "plan/lowering.hpp"

#include <algorithm>

#include "ops/conv2d_pool.hpp"
#include "support/error.hpp"

namespace dovetail::plan {
namespace {

template <typename Kind>
bool is(const PlacedLayer& placed) {
  return std::holds_alternative<Kind>(placed.layer);
}

bool takes_relu(const PlacedLayer& placed) {
  return is<layer::Conv2d>(placed) || is<layer::Dense>(placed) || is<layer::BatchNorm>(placed);
}

/// Its output lies exactly as its input.
bool is_elementwise(const PlacedLayer& placed) {
  return is<layer::Relu>(placed) || is<layer::QuantisedActivation>(placed) ||
         is<layer::Dropout>(placed) || is<layer::BatchNorm>(placed);
}

/// Whether one pass can do the convolution or batch norm `layer` and the pool that ends `last`.
bool takes_pool(const Model& model, std::size_t layer, std::size_t last, const Fusion& fusion) {
  const PlacedLayer &placed = model.layers()[layer], &behind = model.layers()[last];
  const auto* conv = std::get_if<layer::Conv2d>(&placed.layer);
  const auto* pool = std::get_if<layer::MaxPool>(&behind.layer);
  if (!pool || pool->kernel != pool->stride || pool->kernel == 1) return false;
  // Behind a ReLU it is the reader of the pooled map that masks the gradient: a loss does not, nor
  // does a quantised activation.
  if (last + 1 == model.layers().size() || is<layer::QuantisedActivation>(model.layers()[last + 1]))
    return false;
  if (is<layer::BatchNorm>(placed)) return fusion.norm_pools;
  if (!fusion.fits_pool || !conv) return false;
  const auto& map = layer == 0 ? input_map : feature_map;
  return fusion.fits_pool({
      .input = map(1, placed.in.height, placed.in.width, placed.in.channels, conv->padding),
      .output = feature_map(1, behind.out.height, behind.out.width, behind.out.channels),
      .kernel = conv->kernel,
      .stride = conv->stride,
      .padding = conv->padding,
      .pool = pool->kernel,
  });
}

std::vector<Step> fuse(const Model& model, const Fusion& fusion) {
  const auto& layers = model.layers();
  std::vector<Step> steps;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    Step step{.layer = i};
    step.relu = takes_relu(layers[i]) && i + 2 < layers.size() && is<layer::Relu>(layers[i + 1]);
    const std::size_t next = step.last_layer() + 1;
    step.pool = next < layers.size() && takes_pool(model, i, next, fusion);
    i = step.last_layer();
    steps.push_back(step);
  }
  return steps;
}

/// Whether the convolution behind step `i`, a batch norm, does it as it reads.
bool is_deferred(const Model& model, const Lowered& lowered, std::size_t i, const Fusion& fusion) {
  if (!fusion.reads_norm || i + 1 >= lowered.steps.size()) return false;
  const Step &step = lowered.steps[i], &behind = lowered.steps[i + 1];
  const auto* conv = std::get_if<layer::Conv2d>(&model.layers()[behind.layer].layer);
  if (!is<layer::BatchNorm>(model.layers()[step.layer]) || !step.relu || step.pool || !conv)
    return false;
  Conv2dPoolShape shape{.input = lowered.layouts[i + 1],
                        .output = lowered.layouts[i + 2],
                        .kernel = conv->kernel,
                        .stride = conv->stride,
                        .padding = conv->padding,
                        .pool = 1,
                        .normalised = true};
  if (behind.pool)
    shape.pool = std::get<layer::MaxPool>(model.layers()[behind.last_layer()].layer).kernel;
  return fusion.reads_norm(shape);
}

/// Halo of the feature map before each step, and of the last output.
std::vector<int> halos_of(const Model& model, const std::vector<Step>& steps) {
  const auto& layers = model.layers();
  std::vector<int> halos(steps.size() + 1, 0);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto* conv = std::get_if<layer::Conv2d>(&layers[steps[i].layer].layer);
    if (!conv) continue;
    halos[i] = std::max(halos[i], conv->padding);
    // The first step's input needs no gradient, so its output needs no border for one; nor does a
    // pooled one.
    const bool gathers = i > 0 && !steps[i].pool;
    if (gathers && conv->stride == 1)
      halos[i + 1] = std::max(halos[i + 1], conv->kernel - 1 - conv->padding);
  }
  const auto join = [&](std::size_t i) {
    if (steps[i].strip_halo || steps[i].pool || !is_elementwise(layers[steps[i].layer])) return;
    halos[i] = halos[i + 1] = std::max(halos[i], halos[i + 1]);
  };
  for (std::size_t i = 0; i < steps.size(); ++i) join(i);
  for (std::size_t i = steps.size(); i-- > 0;) join(i);
  return halos;
}

}  // namespace

Lowered lower(const Model& model, int batch, const Fusion& fusion) {
  const auto& layers = model.layers();
  if (!is<layer::Conv2d>(layers.front()) && !is<layer::Dense>(layers.front())) {
    throw UsageError(
        fmt::format("model {} must begin with a convolution or a dense layer", model.name()));
  }
  Lowered lowered;
  const std::vector<Step> fused = fuse(model, fusion);
  const std::vector<int> halos = halos_of(model, fused);
  const FeatureShape& input = model.input();
  lowered.layouts.push_back(input_map(batch, input.height, input.width, input.channels, halos[0]));
  for (std::size_t i = 0; i < fused.size(); ++i) {
    const PlacedLayer& placed = layers[fused[i].layer];
    if (is<layer::Dense>(placed) && lowered.layouts.back().halo > 0) {
      Step strip = fused[i - 1];
      strip.strip_halo = true;
      lowered.steps.push_back(strip);
      const Layout& from = lowered.layouts.back();
      lowered.layouts.push_back(feature_map(batch, from.height, from.width, from.channels));
    }
    lowered.steps.push_back(fused[i]);
    const FeatureShape& out = layers[fused[i].last_layer()].out;
    lowered.layouts.push_back(
        feature_map(batch, out.height, out.width, out.channels, halos[i + 1]));
  }
  for (std::size_t i = 0; i < lowered.steps.size(); ++i)
    lowered.steps[i].deferred = is_deferred(model, lowered, i, fusion);
  return lowered;
}

}  // namespace dovetail::plan
