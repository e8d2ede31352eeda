// Builds a plan: the memory of one batch size, and the operations that use it.
#include <algorithm>

#include "device/opencl/pinned_memory.hpp"
#include "ops/conv2d_tiles.hpp"
#include "plan/plan.hpp"
#include "support/text.hpp"

namespace dovetail {

using plan::DeviceParameter;
using plan::Edge;
using plan::Operation;
using plan::Slot;
using plan::statistics_elements;

Plan::Plan(opencl::Device& device, const Model& model, const InputStatistics& input,
           const PlanOptions& options)
    : Plan(device, model, input, options,
           lower(device, model, options, on_tensor_cores(device, options))) {}

plan::Lowered Plan::lower(const opencl::Device& device, const Model& model,
                          const PlanOptions& options, bool convolves_on_tensor_cores) {
  const Variant variant = options.variant.value_or(variant_for(device));
  plan::Fusion fusion{.norm_pools = options.fuse_maps};
  if (options.fuse_maps && variant == Variant::cpu) {
    fusion.fits_pool = Conv2dPool::fits;
  } else if (options.fuse_maps && convolves_on_tensor_cores) {
    // A convolution that fits them alone stays there.
    fusion.fits_pool = [](const Conv2dPoolShape& shape) {
      const Conv2dShape alone = conv_tiles::convolution(shape);
      return Conv2dMma::fits(shape) ||
             (Conv2dGpu::fits(shape) && !Conv2dMma::fits({alone.input, alone.output, alone.kernel,
                                                          alone.stride, alone.padding, 1}));
    };
  } else if (options.fuse_maps) {
    fusion.fits_pool = Conv2dGpu::fits;
  }
  if (options.fuse_maps && options.norms_may_join_convolutions() && variant != Variant::cpu &&
      options.norms_as_read.value_or(convolves_on_tensor_cores)) {
    if (convolves_on_tensor_cores) {
      fusion.reads_norm = Conv2dMma::fits;
    } else if (options.format == ComputeFormat::float32) {  // what is rounded first must be there
      fusion.reads_norm = Conv2dGpu::fits;
    }
  }
  return plan::lower(model, room_of(model, options), fusion);
}

int Plan::room_of(const Model& model, const PlanOptions& options) {
  const bool may_join = options.training && options.join_passes && !model.quantisation();
  return may_join ? options.batch * options.passes : options.batch;
}

bool Plan::on_tensor_cores(const opencl::Device& device, const PlanOptions& options) {
  const Variant variant = options.variant.value_or(variant_for(device));
  const bool may = variant == Variant::nvidia || (variant == Variant::gpu && !options.variant);
  return may && options.format != ComputeFormat::float32 &&
         device.takes(opencl::InstructionSet::mma);
}

Plan::Plan(opencl::Device& device, const Model& model, const InputStatistics& input,
           const PlanOptions& options, const plan::Lowered& lowered)
    : device_(device),
      model_(model),
      options_(options),
      variant_(options.variant.value_or(variant_for(device))),
      input_(input),
      arena_(device.alignment()),
      normalise_(
          device, variant_, lowered.layouts.front(), input.mean, input.deviation,
          model.quantisation() ? NormaliseInput::Rounding::int8 : NormaliseInput::Rounding::none,
          options.augmentation) {
  make_edges(lowered);
  make_slots(lowered);
  make_layers(lowered);
  if (options_.training &&
      options_.upload_way.value_or(device.is_cpu() ? UploadWay::in_turn : UploadWay::overlapped) ==
          UploadWay::overlapped) {
    pinned_ = std::make_shared<opencl::PinnedMemory>(device);
    input_queue_.emplace(device);
  }
  load_statistics(model_.initial_statistics());
}

void Plan::make_edges(const plan::Lowered& lowered) {
  edges_.resize(lowered.layouts.size());
  for (std::size_t i = 0; i < edges_.size(); ++i) {
    edges_[i].layout = lowered.layouts[i];
    edges_[i].rectified = i > 0 && lowered.steps[i - 1].relu;
    edges_[i].deferred = i > 0 && lowered.steps[i - 1].deferred;
    edges_[i].value = edges_[i].deferred ? edges_[i - 1].value
                                         : device_.allocate_zeroed(edges_[i].layout.bytes());
    // Nobody asks for the gradient of the images.
    if (!options_.training || i == 0) continue;
    // Batch norm's gradient can be made in its place.
    edges_[i].gradient = edges_[i].deferred ? edges_[i - 1].gradient
                                            : device_.allocate_zeroed(edges_[i].layout.bytes());
  }
  inputs_ = make_inputs();
}

DeviceParameter Plan::device_parameter(const std::string& name) const {
  const auto& slots = arena_.slots();
  const auto slot =
      std::find_if(slots.begin(), slots.end(), [&](const Slot& s) { return s.spec.name == name; });
  const std::size_t offset = slot->offset * sizeof(float);
  const std::size_t bytes = slot->elements * sizeof(float);
  return {parameters_.slice(offset, bytes), gradients_.slice(offset, bytes)};
}

DeviceParameter Plan::bias_of(const PlacedLayer& placed, bool has_bias) {
  if (has_bias) return device_parameter(placed.name + ".bias");
  const std::size_t bytes = extent(round_up(placed.out.channels, channel_lanes)) * sizeof(float);
  return {device_.allocate_zeroed(bytes),
          options_.training ? device_.allocate(bytes) : opencl::Buffer()};
}

plan::OperationWeight Plan::weight_of(const PlacedLayer& placed, const WeightMatrix& matrix,
                                      const std::optional<WeightLaw>& law) const {
  DeviceParameter parameter = device_parameter(placed.name + ".weight");
  if (!law) return plan::OperationWeight(std::move(parameter));
  return plan::OperationWeight(device_, variant_, std::move(parameter), matrix, *law);
}

DeviceParameter Plan::step_of(const layer::QuantisedActivation& activation, std::size_t layer) {
  if (activation.law.binary) return {};
  Step step;
  step.layer = layer;
  step.highest = activation.law.highest;
  DeviceParameter parameter;
  if (activation.learned) {
    parameter = device_parameter(model_.layers()[layer].name + ".step");
  } else {
    const auto& statistics = model_.statistics();
    const auto at = std::find_if(statistics.begin(), statistics.end(),
                                 [&](const ParameterSpec& spec) { return spec.layer == layer; });
    step.statistic = static_cast<std::size_t>(at - statistics.begin());
    parameter.value = device_.allocate(sizeof(float));
  }
  step.value = parameter.value;
  steps_.push_back(step);
  return parameter;
}

void Plan::make_layers(const plan::Lowered& lowered) {
  buckets_ = buckets_of(arena_, reduction_elements_, lowered, options_.bucket_bytes);
  make_chain(lowered);
  if (!make_operations(lowered)) {
    // Plain kernels fuse other pools. There is nothing more to refuse to them.
    drop_layers();
    const plan::Lowered plain = lower();
    make_edges(plain);
    return make_layers(plain);
  }
  make_loss();
}

bool Plan::make_operations(const plan::Lowered& lowered) {
  std::size_t norms_made = 0;
  for (std::size_t i = 0; i < lowered.steps.size(); ++i) {
    const plan::Step& step = lowered.steps[i];
    operations_.push_back(make_operation(step, edges_[i], edges_[i + 1], norms_made));
    if (!operations_.back()) return false;
    const std::string& name = model_.layers()[step.layer].name;  // those without weights have none
    names_.push_back(name.empty() ? fmt::format("layer {}", step.layer + 1) : name);
    if (step.strip_halo) names_.back() += " halo";
  }
  return true;
}

std::unique_ptr<Operation> Plan::make_norm(const plan::Step& step, Edge& in, Edge& out,
                                           float epsilon, const plan::NormStatistics& statistics) {
  const std::string& name = model_.layers()[step.layer].name;
  std::unique_ptr<BatchNorm> norm;
  if (step.pool) {
    const int pool = std::get<layer::MaxPool>(model_.layers()[step.last_layer()].layer).kernel;
    norm = std::make_unique<BatchNorm>(device_, variant_, in.layout, out.layout, pool, epsilon);
  } else {
    norm = std::make_unique<BatchNorm>(device_, variant_, in.layout, epsilon);
  }
  return std::make_unique<plan::BatchNormOperation>(
      device_, variant_, in, out, step.last_layer(), std::move(norm),
      device_parameter(name + ".weight"), device_parameter(name + ".bias"), statistics);
}

std::unique_ptr<Operation> Plan::make_operation(const plan::Step& step, Edge& in, Edge& out,
                                                std::size_t& norm_index) {
  const PlacedLayer& placed = model_.layers()[step.layer];
  const std::size_t last = step.last_layer();
  if (step.strip_halo) {
    // A 1×1 pool is the identity between two layouts.
    return std::make_unique<plan::PoolOperation>(device_, variant_, in, out, last,
                                                 PoolKind::average, 1, 1);
  }
  using Made = std::unique_ptr<Operation>;
  return std::visit(
      Overloaded{
          [&](const layer::Conv2d&) -> Made { return make_convolution(step, in, out); },
          [&](const layer::Dense&) -> Made { return make_dense(step, in, out); },
          [&](const layer::Relu&) -> Made {
            return std::make_unique<plan::ReluOperation>(device_, variant_, in, out, last);
          },
          [&](const layer::QuantisedActivation& activation) -> Made {
            return std::make_unique<plan::QuantisedActivationOperation>(
                device_, variant_, in, out, last, activation.law, step_of(activation, step.layer));
          },
          [&](const layer::MaxPool& pool) -> Made {
            return std::make_unique<plan::PoolOperation>(device_, variant_, in, out, last,
                                                         PoolKind::max, pool.kernel, pool.stride);
          },
          [&](const layer::AveragePool& pool) -> Made {
            return std::make_unique<plan::PoolOperation>(
                device_, variant_, in, out, last, PoolKind::average, pool.kernel, pool.stride);
          },
          [&](const layer::BatchNorm& norm) -> Made {
            return make_norm(step, in, out, norm.epsilon, norms_[norm_index++].statistics);
          },
          [&](const layer::Dropout& dropout) -> Made {
            return std::make_unique<plan::DropoutOperation>(device_, variant_, in, out, last,
                                                            dropout.probability);
          }},
      placed.layer);
}

void Plan::make_loss() {
  if (!options_.training) return;
  const Layout& logits = edges_.back().layout;
  const int columns = logits.image_stride();
  loss_statistics_ =
      reduction_.slice(statistics_offset_ * sizeof(float), statistics_elements * sizeof(float));
  if (options_.loss == LossKind::cross_entropy) {
    loss_.emplace(LabelLoss::cross_entropy(device_, variant_, model_.classes(), columns));
  } else {
    loss_.emplace(LabelLoss::squared_error(device_, variant_, model_.classes(), columns));
  }
}

}  // namespace dovetail
