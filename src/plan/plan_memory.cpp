// Lays out a plan's parameters, gradients and statistics in one piece of memory each.
#include <algorithm>

#include "plan/plan.hpp"

namespace dovetail {

using plan::Slot;
using plan::statistics_elements;

plan::Arena Plan::arena_of(std::size_t alignment, const Model& model,
                           const plan::Lowered& lowered) {
  plan::Arena arena(alignment);
  for (const ParameterSpec& spec : model.parameters()) {
    const auto at = std::find_if(
        lowered.steps.begin(), lowered.steps.end(),
        [&](const plan::Step& step) { return step.layer == spec.layer && !step.strip_halo; });
    const Layout& in = lowered.layouts[extent(static_cast<int>(at - lowered.steps.begin()))];
    const PlacedLayer& placed = model.layers()[spec.layer];
    const std::size_t out_stride = extent(round_up(placed.out.channels, channel_lanes));
    if (std::holds_alternative<layer::QuantisedActivation>(placed.layer)) {
      arena.add(spec, 1, plan::vector_index(1));
    } else if (spec.shape.size() == 1) {
      arena.add(spec, out_stride, plan::vector_index(placed.out.channels));
    } else if (const auto* conv = std::get_if<layer::Conv2d>(&placed.layer)) {
      arena.add(spec, extent(conv->kernel * conv->kernel * in.channels) * out_stride,
                plan::conv_weight_index(conv->out, in.channels, conv->kernel));
    } else {
      arena.add(spec, extent(in.image_stride()) * out_stride,
                plan::dense_weight_index(placed.out.channels, in));
    }
  }
  return arena;
}

std::size_t Plan::reserve_statistics(const Model& model, plan::Arena& reduction,
                                     std::vector<Norm>& norms) {
  for (std::size_t i = 0; i < model.statistics().size(); ++i) {
    const PlacedLayer& placed = model.layers()[model.statistics()[i].layer];
    const auto* norm = std::get_if<layer::BatchNorm>(&placed.layer);
    if (!norm) continue;
    const std::size_t stride = extent(round_up(placed.out.channels, channel_lanes));
    Norm entry;
    entry.mean_offset = reduction.reserve(stride);
    entry.variance_offset = reduction.reserve(stride);
    entry.channels = extent(placed.out.channels);
    entry.samples_per_image = extent(placed.out.height * placed.out.width);
    entry.momentum = norm->momentum;
    entry.running = i++;  // the variance follows
    norms.push_back(entry);
  }
  return reduction.reserve(statistics_elements);
}

std::vector<plan::Bucket> Plan::buckets_of(const plan::Arena& arena, std::size_t all,
                                           const plan::Lowered& lowered, std::size_t bucket_bytes) {
  std::vector<std::size_t> finished;
  for (std::size_t i = 0; i < lowered.steps.size(); ++i) {
    std::size_t first = arena.elements();
    for (const Slot& slot : arena.slots()) {
      if (i == 0 || slot.spec.layer > lowered.steps[i - 1].last_layer())
        first = std::min(first, slot.offset);
    }
    finished.push_back(first);
  }
  constexpr std::size_t page_elements = 1024;
  std::vector<plan::Bucket> buckets =
      plan::make_buckets(finished, arena.elements(), bucket_bytes / sizeof(float), page_elements);
  buckets.push_back({arena.elements(), all, 0});
  return buckets;
}

Plan::ReductionSize Plan::reduction_size(const opencl::Device& device, const Model& model,
                                         const PlanOptions& options) {
  const plan::Lowered lowered = lower(device, model, options, on_tensor_cores(device, options));
  const plan::Arena arena = arena_of(device.alignment(), model, lowered);
  plan::Arena reduction = arena;
  std::vector<Norm> norms;
  reserve_statistics(model, reduction, norms);
  return {arena.elements(), reduction.elements(),
          buckets_of(arena, reduction.elements(), lowered, options.bucket_bytes)};
}

void Plan::make_slots(const plan::Lowered& lowered) {
  arena_ = arena_of(device_.alignment(), model_, lowered);
  plan::Arena reduction = arena_;
  statistics_offset_ = reserve_statistics(model_, reduction, norms_);
  reduction_elements_ = reduction.elements();

  parameters_ = device_.allocate_zeroed(arena_.elements() * sizeof(float));
  using Way = opencl::HostedBuffer::Way;
  memory_ = opencl::HostedBuffer(
      device_, reduction_elements_ * sizeof(float),
      std::as_writable_bytes(options_.reduction_memory),
      options_.reduction_way.value_or(device_.is_cpu() ? Way::map : Way::copy));
  reduction_ = memory_.buffer();
  gradients_ = reduction_.slice(0, arena_.elements() * sizeof(float));
  for (Norm& norm : norms_) {
    const std::size_t bytes =
        extent(round_up(static_cast<int>(norm.channels), channel_lanes)) * sizeof(float);
    norm.statistics.batch_mean = reduction_.slice(norm.mean_offset * sizeof(float), bytes);
    norm.statistics.batch_variance = reduction_.slice(norm.variance_offset * sizeof(float), bytes);
    norm.statistics.running_mean = device_.allocate_zeroed(bytes);
    norm.statistics.running_variance = device_.allocate_zeroed(bytes);
  }
  if (!options_.training) return;
  make_pass_statistics();
  for (int i = 0; i < options_.optimizer.state_slots(); ++i) {
    state_.push_back(device_.allocate_zeroed(parameters_.bytes()));
  }
  update_.emplace(device_, variant_, arena_.elements(), reduction_elements_ - arena_.elements());
}

}  // namespace dovetail
