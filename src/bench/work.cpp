// Walks over a model's layers and a plan's operations.
#include "bench/work.hpp"

#include <algorithm>

namespace dovetail::bench {
namespace {

constexpr double word = sizeof(float);

/// Operations for a sample, by direction.
struct LayerWork {
  double forward = 0, weight_gradient = 0, input_gradient = 0;
};

/// `steps`: the plan's; none: each layer by itself.
LayerWork work_of_layer(const Model& model, std::size_t index,
                        const std::vector<plan::Step>& steps) {
  const PlacedLayer& placed = model.layers()[index];
  double each = 0;  // products for an output
  if (const auto* conv = std::get_if<layer::Conv2d>(&placed.layer)) {
    each = static_cast<double>(placed.in.channels) * conv->kernel * conv->kernel;
  } else if (std::holds_alternative<layer::Dense>(placed.layer)) {
    each = static_cast<double>(placed.in.size());
  } else {
    return {};
  }
  const auto is_product = [](const PlacedLayer& one) {
    return std::holds_alternative<layer::Conv2d>(one.layer) ||
           std::holds_alternative<layer::Dense>(one.layer);
  };
  const auto before = model.layers().begin() + static_cast<std::ptrdiff_t>(index);
  const bool first = std::none_of(model.layers().begin(), before, is_product);
  const auto pooled = std::ranges::find_if(
      steps, [&](const plan::Step& step) { return step.layer == index && step.pool; });
  // The first layer's kernel looks at all pixels.
  const bool visits_all = first || pooled == steps.end();
  const double visited =
      2 * each * (visits_all ? placed.out : model.layers()[pooled->last_layer()].out).size();
  return {2 * each * placed.out.size(), visited, first ? 0 : visited};
}

ModelWork count(const Model& model, const std::vector<plan::Step>& steps) {
  ModelWork work;
  for (std::size_t i = 0; i < model.layers().size(); ++i) {
    const LayerWork layer = work_of_layer(model, i, steps);
    work.forward += layer.forward;
    work.backward += layer.weight_gradient + layer.input_gradient;
  }
  return work;
}

std::vector<plan::Step> counted_steps(const Plan& plan) {
  return plan.visits_maxima() ? plan.steps() : std::vector<plan::Step>();
}

double parameters_of(const Model& model, std::size_t first, std::size_t last) {
  double count = 0;
  for (const ParameterSpec& spec : model.parameters()) {
    if (spec.layer >= first && spec.layer <= last) count += static_cast<double>(volume(spec.shape));
  }
  return count;
}

}  // namespace

ModelWork work_of(const Model& model) {
  return count(model, {});
}

ModelWork work_of(const Plan& plan) {
  return count(plan.model(), counted_steps(plan));
}

std::map<std::string, PartWork> work_by_part(const Plan& plan, std::size_t batch, bool held) {
  return work_by_part(plan, batch, held,
                      TensorCoreFusion{plan.chain_begin(), plan.makes_first_norm_gradient()});
}

std::map<std::string, PartWork> work_by_part(const Plan& plan, std::size_t batch, bool held,
                                             const TensorCoreFusion& fusion) {
  const Model& model = plan.model();
  const std::vector<plan::Step> steps = plan.steps(), counted = counted_steps(plan);
  const auto samples = static_cast<double>(batch);
  const double pixels = samples * model.input().size(), classes = samples * model.classes();
  const double all = parameters_of(model, 0, model.layers().size());
  std::map<std::string, PartWork> parts;
  // A chain of dense layers keeps its values on the chip, but for what the weight gradients read.
  PartWork chain, chain_backward;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const plan::Step& step = steps[i];
    const PlacedLayer& layer = model.layers()[step.layer];
    const LayerWork work =
        step.strip_halo ? LayerWork() : work_of_layer(model, step.layer, counted);
    const double in = samples * layer.in.size();
    const double out =
        step.strip_halo ? in : samples * model.layers()[step.last_layer()].out.size();
    const double maxima = step.pool ? out : 0;  // a byte each
    const double weights =
        step.strip_halo ? 0 : parameters_of(model, step.layer, step.last_layer());
    const double onward = i > 0 ? in + weights : 0;  // the gradient of the input, of the weights
    const std::string& name = plan.operation_names()[i];
    // What a deferred batch norm needs can come out of the convolution in front of it.
    const double moved = step.deferred ? 0 : in + out;
    parts[name + " forward"] = {samples * work.forward, word * (moved + weights) + maxima};
    // A strip of a halo needs no values for its gradient.
    parts[name + " backward"] = {
        samples * (work.weight_gradient + work.input_gradient),
        word * ((step.strip_halo ? 0 : in) + out + weights + onward) + maxima};
    // The first convolution reads for its gradient what it has written, and the norm behind no map.
    if (fusion.first_norm_gradient && i == 0) parts[name + " backward"].bytes += word * out;
    if (fusion.first_norm_gradient && i == 1) parts[name + " backward"].bytes = word * 2 * weights;
    if (i < fusion.chain_begin) continue;
    const bool is_first = i == fusion.chain_begin;
    chain.operations += samples * (work.forward + (is_first ? 0 : work.input_gradient));
    chain.bytes += word * (2 * out + weights);
    chain_backward.operations +=
        samples * (work.weight_gradient + (is_first ? work.input_gradient : 0));
    chain_backward.bytes += word * (2 * out + weights);
    if (is_first) {
      chain.bytes += i > 0 ? word * in : pixels + word * pixels;
      chain_backward.bytes += word * (in + onward);
    }
  }
  parts[std::string(Plan::chain_name) + " forward"] = chain;
  parts[std::string(Plan::chain_name) + " backward"] = chain_backward;
  if (!held) parts["upload"].bytes = pixels + word * samples;
  parts["input"].bytes = pixels + word * pixels;
  parts["loss"].bytes = word * 2 * classes;
  parts["record"].bytes = word * all;
  parts["update"].bytes = word * 5 * all;  // two read and written, the gradient read
  return parts;
}

}  // namespace dovetail::bench
