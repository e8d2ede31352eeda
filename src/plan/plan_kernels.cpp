// Chooses the kernels of what has weights: by measurement where there is a tuner, and on tensor
// cores where the driver takes them.
#include <algorithm>

#include "plan/chain_problem.hpp"
#include "plan/conv_problem.hpp"
#include "plan/plan.hpp"

namespace dovetail {

using plan::Edge;
using plan::Operation;
using plan::Refusals;
using plan::Slot;

std::optional<DenseChainShape> Plan::chain_from(const plan::Lowered& lowered,
                                                std::size_t first) const {
  const auto& slots = arena_.slots();
  const auto place = [&](const std::string& name) {
    return std::ranges::find(slots, name, [](const Slot& slot) { return slot.spec.name; })->offset;
  };
  DenseChainShape shape{.classes = model_.classes(), .propagates = first > 0};
  for (std::size_t i = first; i < lowered.steps.size(); ++i) {
    const plan::Step& step = lowered.steps[i];
    const PlacedLayer& placed = model_.layers()[step.layer];
    const auto* dense = std::get_if<layer::Dense>(&placed.layer);
    const bool is_last = i + 1 == lowered.steps.size();
    if (step.strip_halo || !dense || dense->quantised || !dense->bias || step.relu == is_last)
      return std::nullopt;
    shape.layers.push_back({.in = lowered.layouts[i].image_stride(),
                            .out = lowered.layouts[i + 1].channel_stride,
                            .weight = place(placed.name + ".weight"),
                            .bias = place(placed.name + ".bias")});
  }
  const Layout& input = lowered.layouts.front();
  if (first == 0) shape.image = {input.channels, input.height, input.width};
  shape.first_parameter = arena_.elements();
  for (const DenseChainLayer& each : shape.layers)
    shape.first_parameter = std::min({shape.first_parameter, each.weight, each.bias});
  shape.parameters = arena_.elements() - shape.first_parameter;
  if (!DenseChain::fits(shape, room())) return std::nullopt;
  return shape;
}

void Plan::make_chain(const plan::Lowered& lowered) {
  if (!options_.training || options_.loss != LossKind::cross_entropy ||
      !on_tensor_cores(device_, options_)) {
    return;
  }
  for (std::size_t first = 0; first < lowered.steps.size(); ++first) {
    const std::optional<DenseChainShape> shape = chain_from(lowered, first);
    if (!shape) continue;
    refusals_.attempt(device_, Refusals::Kind::chains, [&] {
      const DenseChainKernels kernels =
          tuner() ? plan::tuned_chain(*tuner(), device_, *shape, tuned_batch(), options_.format,
                                      options_.same_bits)
                  : DenseChainKernels{};
      chain_.emplace(device_, *shape, room(), options_.format, kernels);
      chain_begin_ = first;
    });
    return;
  }
}

std::vector<Direction> Plan::directions_of(const Edge& in) const {
  std::vector<Direction> directions{Direction::forward};
  const auto number = static_cast<std::size_t>(&in - edges_.data());
  if (!options_.training || (chain_ && number >= chain_begin_)) return directions;
  directions.push_back(Direction::weight_gradient);
  if (&in != &edges_.front()) directions.push_back(Direction::input_gradient);
  return directions;
}

bool Plan::takes_statistics(const plan::Step& step) const {
  if (!options_.training || !options_.norms_may_join_convolutions() || step.pool) return false;
  const std::size_t next = step.last_layer() + 1;
  return next < model_.layers().size() &&
         std::holds_alternative<layer::BatchNorm>(model_.layers()[next].layer);
}

bool Plan::takes_norm_gradient(const Edge& in) const {
  // Nobody else needs the gradient of the first convolution's output, and that of the batch norm's
  // output lies in its place. What is rectified in between masks it.
  return options_.training && &in == &edges_.front() && edges_.size() > 2 && edges_[2].deferred &&
         !edges_[1].rectified;
}

std::unique_ptr<Operation> Plan::make_convolution(const plan::Step& step, Edge& in, Edge& out) {
  const PlacedLayer& placed = model_.layers()[step.layer];
  const auto& conv = std::get<layer::Conv2d>(placed.layer);
  const WeightMatrix matrix{.rows = conv.kernel * conv.kernel * in.layout.channels,
                            .column_stride = out.layout.channel_stride};
  Conv2dPoolShape pooled{in.layout,    out.layout, conv.kernel, conv.stride,
                         conv.padding, 1,          in.deferred};
  if (step.pool)
    pooled.pool = std::get<layer::MaxPool>(model_.layers()[step.last_layer()].layer).kernel;
  const auto operation = [&](auto made) -> std::unique_ptr<Operation> {
    using Convolution = typename decltype(made)::element_type;
    return std::make_unique<plan::ConvolutionOperation<Convolution>>(
        in, out, step.last_layer(), std::move(made), weight_of(placed, matrix, conv.quantised),
        bias_of(placed, conv.bias));
  };
  const bool training = options_.training;
  const ComputeFormat format = options_.format;
  if (convolves_on_tensor_cores() && Conv2dMma::fits(pooled)) {
    pooled.statistics = takes_statistics(step);
    pooled.gradient_sums = in.deferred && options_.training;
    pooled.norm_gradient = takes_norm_gradient(in);
    if (!Conv2dMma::fits(pooled)) pooled.norm_gradient = false;
    std::unique_ptr<Conv2dMma> made;
    const bool is_made = refusals_.attempt(device_, Refusals::Kind::convolutions, [&] {
      made = tuner()
                 ? plan::tuned_conv_mma(*tuner(), device_, pooled, tuned_batch(), training, format,
                                        directions_of(in), options_.step_passes, options_.same_bits)
                 : std::make_unique<Conv2dMma>(device_, pooled, training, format, ConvMmaKernels{},
                                               options_.step_passes);
    });
    return is_made ? operation(std::move(made)) : nullptr;
  }
  if (variant_ != Variant::cpu) {
    return operation(
        free_tuner() ? plan::tuned_conv_gpu(*free_tuner(), device_, pooled, tuned_batch(), training,
                                            format, directions_of(in), options_.step_passes)
                     : std::make_unique<Conv2dGpu>(device_, pooled, training, format,
                                                   ConvKernels{.variant = Variant::gpu},
                                                   options_.step_passes));
  }
  if (step.pool) {
    return operation(free_tuner()
                         ? plan::tuned_conv_pool(*free_tuner(), device_, pooled, tuned_batch(),
                                                 training, format, directions_of(in),
                                                 options_.step_passes)
                         : std::make_unique<Conv2dPool>(device_, pooled, training, format,
                                                        ConvPoolKernels{}, options_.step_passes));
  }
  const Conv2dShape shape{in.layout, out.layout, conv.kernel, conv.stride, conv.padding};
  return operation(free_tuner()
                       ? plan::tuned_conv(*free_tuner(), device_, shape, tuned_batch(), format,
                                          directions_of(in), options_.step_passes)
                       : std::make_unique<Conv2d>(device_, ConvKernels{.variant = variant_}, shape,
                                                  format, options_.step_passes));
}

std::unique_ptr<Operation> Plan::make_dense(const plan::Step& step, Edge& in, Edge& out) {
  const PlacedLayer& placed = model_.layers()[step.layer];
  const auto& dense = std::get<layer::Dense>(placed.layer);
  const MatmulShape shape{.in = in.layout.image_stride(), .out = out.layout.channel_stride};
  const WeightMatrix matrix{.rows = in.layout.image_stride(),
                            .column_stride = out.layout.channel_stride,
                            .period = in.layout.channel_stride,
                            .valid = in.layout.channels};
  const bool on_gpu_in_format =
      variant_ == Variant::gpu && options_.format != ComputeFormat::float32 && !options_.variant;
  const auto usual = [&](Variant variant) {
    return plan::DenseProducts(device_, variant, shape, usual_batch(), options_.format);
  };
  std::optional<plan::DenseProducts> products;
  if (free_tuner()) {  // plain kernels are among its candidates
    products.emplace(*free_tuner(), device_, shape, tuned_batch(), options_.format,
                     directions_of(in));
  } else if (on_gpu_in_format || variant_ == Variant::nvidia) {
    refusals_.attempt(device_, Refusals::Kind::products,
                      [&] { products = usual(Variant::nvidia); });
  }
  if (!products) products = usual(variant_ == Variant::nvidia ? Variant::gpu : variant_);
  return std::make_unique<plan::DenseOperation>(in, out, step.last_layer(), std::move(*products),
                                                weight_of(placed, matrix, dense.quantised),
                                                bias_of(placed, dense.bias));
}

}  // namespace dovetail
