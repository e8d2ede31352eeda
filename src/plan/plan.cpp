// Builds the memory and the operations of a plan, and runs them.
#include "plan/plan.hpp"

#include <algorithm>
#include <cmath>

#include "support/error.hpp"

namespace dovetail {

using plan::DeviceParameter;
using plan::Edge;
using plan::Operation;
using plan::Pass;
using plan::Slot;

namespace {

constexpr std::size_t statistics_elements = 3;  // sum of losses, correct, samples

std::size_t extent(int value) {
  return static_cast<std::size_t>(value);
}

/// Largest |value| among the interior elements of the first `count` images.
float largest_magnitude(const Layout& layout, std::span<const float> values, int count) {
  float largest = 0;
  for (int n = 0; n < count; ++n) {
    for (int y = 0; y < layout.height; ++y) {
      const std::size_t row = layout.index(n, y, 0, 0);
      for (std::size_t i = 0; i < extent(layout.width * layout.channel_stride); ++i) {
        largest = std::max(largest, std::abs(values[row + i]));
      }
    }
  }
  return largest;
}

}  // namespace

Plan::Plan(opencl::Device& device, const Model& model, const InputStatistics& input,
           const PlanOptions& options)
    : device_(device),
      model_(model),
      options_(options),
      variant_(options.variant.value_or(variant_for(device))),
      input_(input),
      arena_(device.alignment()),
      normalise_(device, variant_, plan::lower(model, options.batch).layouts.front(), input.mean,
                 input.deviation) {
  const plan::Lowered lowered = plan::lower(model_, options_.batch);
  make_edges(lowered);
  make_slots(lowered);
  make_operations(lowered);
  make_loss();
  running_ = model_.initial_statistics();
  load_statistics(running_);
}

void Plan::make_edges(const plan::Lowered& lowered) {
  edges_.resize(lowered.layouts.size());
  for (std::size_t i = 0; i < edges_.size(); ++i) {
    edges_[i].layout = lowered.layouts[i];
    edges_[i].rectified = i > 0 && lowered.steps[i - 1].relu;
    edges_[i].value = device_.allocate_zeroed(edges_[i].layout.bytes());
    if (options_.training) edges_[i].gradient = device_.allocate_zeroed(edges_[i].layout.bytes());
  }
  images_ = device_.allocate(extent(options_.batch * model_.input().size()));
  labels_ = device_.allocate(extent(options_.batch) * sizeof(std::int32_t));
}

void Plan::make_slots(const plan::Lowered& lowered) {
  for (const ParameterSpec& spec : model_.parameters()) {
    const auto at = std::find_if(
        lowered.steps.begin(), lowered.steps.end(),
        [&](const plan::Step& step) { return step.layer == spec.layer && !step.strip_halo; });
    const Layout& in = lowered.layouts[extent(static_cast<int>(at - lowered.steps.begin()))];
    const PlacedLayer& placed = model_.layers()[spec.layer];
    const std::size_t out_stride = extent(round_up(placed.out.channels, channel_lanes));
    if (spec.shape.size() == 1) {
      arena_.add(spec, out_stride, plan::vector_index(placed.out.channels));
    } else if (const auto* conv = std::get_if<layer::Conv2d>(&placed.layer)) {
      arena_.add(spec, extent(conv->kernel * conv->kernel * in.channels) * out_stride,
                 plan::conv_weight_index(conv->out, in.channels, conv->kernel));
    } else {
      arena_.add(spec, extent(in.image_stride()) * out_stride,
                 plan::dense_weight_index(placed.out.channels, in));
    }
  }
  // Behind the gradients: the batch norms' statistics and the loss's, which are summed over the
  // ranks with them.
  plan::Arena reduction = arena_;
  for (const PlacedLayer& placed : model_.layers()) {
    const auto* norm = std::get_if<layer::BatchNorm>(&placed.layer);
    if (!norm) continue;
    const std::size_t stride = extent(round_up(placed.out.channels, channel_lanes));
    Norm entry;
    entry.mean_offset = reduction.reserve(stride);
    entry.variance_offset = reduction.reserve(stride);
    entry.channels = extent(placed.out.channels);
    entry.samples_per_image = extent(placed.out.height * placed.out.width);
    entry.momentum = norm->momentum;
    norms_.push_back(entry);
  }
  statistics_offset_ = reduction.reserve(statistics_elements);
  reduction_elements_ = reduction.elements();

  parameters_ = device_.allocate_zeroed(arena_.elements() * sizeof(float));
  reduction_ = device_.allocate_zeroed(reduction_elements_ * sizeof(float));
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
  for (int i = 0; i < options_.optimizer.state_slots(); ++i) {
    state_.push_back(device_.allocate_zeroed(parameters_.bytes()));
  }
  update_.emplace(device_, variant_, arena_.elements());
}

DeviceParameter Plan::device_parameter(const std::string& name) const {
  const auto& slots = arena_.slots();
  const auto slot =
      std::find_if(slots.begin(), slots.end(), [&](const Slot& s) { return s.spec.name == name; });
  const std::size_t offset = slot->offset * sizeof(float);
  const std::size_t bytes = slot->elements * sizeof(float);
  return {parameters_.slice(offset, bytes), gradients_.slice(offset, bytes)};
}

void Plan::make_operations(const plan::Lowered& lowered) {
  for (std::size_t i = 0; i < lowered.steps.size(); ++i) {
    operations_.push_back(make_operation(lowered.steps[i], edges_[i], edges_[i + 1]));
  }
}

std::unique_ptr<Operation> Plan::make_operation(const plan::Step& step, Edge& in, Edge& out) {
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
          [&](const layer::Conv2d& conv) -> Made {
            const Conv2dShape shape{in.layout, out.layout, conv.kernel, conv.stride, conv.padding};
            return std::make_unique<plan::ConvOperation>(device_, variant_, in, out, last, shape,
                                                         device_parameter(placed.name + ".weight"),
                                                         device_parameter(placed.name + ".bias"));
          },
          [&](const layer::Dense&) -> Made {
            return std::make_unique<plan::DenseOperation>(device_, variant_, in, out, last,
                                                          device_parameter(placed.name + ".weight"),
                                                          device_parameter(placed.name + ".bias"));
          },
          [&](const layer::Relu&) -> Made {
            return std::make_unique<plan::ReluOperation>(device_, variant_, in, out, last);
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
            return std::make_unique<plan::BatchNormOperation>(
                device_, variant_, in, out, last, norm.epsilon,
                device_parameter(placed.name + ".weight"), device_parameter(placed.name + ".bias"),
                norms_[next_norm_++].statistics);
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
    cross_entropy_.emplace(device_, variant_, model_.classes(), columns);
  } else {
    squared_error_.emplace(device_, variant_, model_.classes(), columns);
    targets_ = device_.allocate_zeroed(logits.bytes());
    target_rows_.resize(logits.size());
  }
}

void Plan::load_parameters(const std::vector<Parameter>& parameters) {
  const std::vector<float> image = arena_.scatter(parameters);
  device_.write(parameters_, image.data(), image.size() * sizeof(float));
}

std::vector<Parameter> Plan::parameters() {
  return arena_.gather(device_.map(parameters_, opencl::Access::read).as<float>());
}

void Plan::load_optimizer_state(const std::vector<std::vector<Parameter>>& state) {
  if (state.size() != state_.size()) {
    throw Error(fmt::format("{} optimiser states do not fit an optimiser with {}", state.size(),
                            state_.size()));
  }
  for (std::size_t i = 0; i < state.size(); ++i) {
    const std::vector<float> image = arena_.scatter(state[i]);
    device_.write(state_[i], image.data(), image.size() * sizeof(float));
  }
}

std::vector<std::vector<Parameter>> Plan::optimizer_state() {
  std::vector<std::vector<Parameter>> state;
  for (const opencl::Buffer& buffer : state_) {
    state.push_back(arena_.gather(device_.map(buffer, opencl::Access::read).as<float>()));
  }
  return state;
}

void Plan::load_statistics(const std::vector<Parameter>& statistics) {
  running_ = statistics;
  for (std::size_t i = 0; i < norms_.size(); ++i) {
    const auto put = [&](const opencl::Buffer& buffer, const std::vector<float>& values) {
      std::vector<float> padded(buffer.bytes() / sizeof(float), 0.0f);
      std::copy(values.begin(), values.end(), padded.begin());
      device_.write(buffer, padded.data(), buffer.bytes());
    };
    put(norms_[i].statistics.running_mean, running_.at(2 * i).value.values);
    put(norms_[i].statistics.running_variance, running_.at(2 * i + 1).value.values);
  }
}

void Plan::upload_input(std::span<const std::uint8_t> images, std::size_t count) {
  device_.write(images_, images.data(), count * extent(model_.input().size()));
}

void Plan::forward(const Pass& pass) {
  normalise_.forward(images_, edges_.front().value, pass.batch);
  for (const auto& operation : operations_) operation->forward(pass);
}

void Plan::write_targets(std::span<const std::int32_t> labels) {
  const std::size_t columns = extent(edges_.back().layout.image_stride());
  std::fill(target_rows_.begin(), target_rows_.end(), 0.0f);
  for (std::size_t i = 0; i < labels.size(); ++i)
    target_rows_[i * columns + static_cast<std::size_t>(labels[i])] = 1;
  device_.write(targets_, target_rows_.data(), labels.size() * columns * sizeof(float));
}

void Plan::enqueue_gradients(std::span<const std::uint8_t> images,
                             std::span<const std::int32_t> labels, std::uint64_t first_sample) {
  if (labels.size() > extent(options_.batch)) {
    throw Error(fmt::format("a step of {} samples exceeds the plan's batch of {}", labels.size(),
                            options_.batch));
  }
  if (labels.empty()) {
    device_.fill_zero(reduction_);
    return;
  }
  const Pass pass{.batch = static_cast<int>(labels.size()),
                  .training = true,
                  .seed = options_.seed,
                  .first_sample = first_sample};
  upload_input(images, labels.size());
  forward(pass);
  const Edge& logits = edges_.back();
  if (cross_entropy_) {
    device_.write(labels_, labels.data(), labels.size_bytes());
    cross_entropy_->forward_backward(logits.value, labels_, logits.gradient, loss_statistics_,
                                     pass.batch);
  } else {
    write_targets(labels);
    squared_error_->forward_backward(logits.value, targets_, logits.gradient, loss_statistics_,
                                     pass.batch);
  }
  for (std::size_t i = operations_.size(); i-- > 0;) operations_[i]->backward(pass, i > 0);
  device_.flush();
}

opencl::Mapping Plan::map_reduction() {
  opencl::Mapping mapping = device_.map(reduction_, opencl::Access::read_write);
  // Means and unbiased variances of this rank's samples become sums, so that adding the ranks
  // weighs them rightly.
  const std::span<float> values = mapping.as<float>();
  const float samples = values[statistics_offset_ + 2];
  for (const Norm& norm : norms_) {
    const float count = samples * static_cast<float>(norm.samples_per_image);
    const float unbias = count > 1 ? count / (count - 1) : 1;
    for (std::size_t c = 0; c < norm.channels; ++c) {
      values[norm.mean_offset + c] *= samples;
      values[norm.variance_offset + c] *= samples * unbias;
    }
  }
  return mapping;
}

StepStatistics Plan::step_statistics(std::span<const float> reduction) const {
  const auto at = reduction.subspan(statistics_offset_, statistics_elements);
  return {.loss_sum = at[0], .correct = at[1], .samples = at[2]};
}

void Plan::update_running_statistics(std::span<const float> reduction, double samples) {
  if (norms_.empty()) return;
  for (std::size_t i = 0; i < norms_.size(); ++i) {
    const Norm& norm = norms_[i];
    const auto blend = [&](std::vector<float>& running, std::size_t offset) {
      for (std::size_t c = 0; c < norm.channels; ++c) {
        const float newest = reduction[offset + c] / static_cast<float>(samples);
        running[c] += norm.momentum * (newest - running[c]);
      }
    };
    blend(running_[2 * i].value.values, norm.mean_offset);
    blend(running_[2 * i + 1].value.values, norm.variance_offset);
  }
}

void Plan::enqueue_update(float learning_rate, const StepStatistics& statistics,
                          std::uint64_t step) {
  const OptimizerSettings& optimizer = options_.optimizer;
  const float scale = static_cast<float>(1 / statistics.samples);
  if (optimizer.kind == OptimizerKind::sgd) {
    update_->sgd(parameters_, gradients_, state_[0],
                 {.learning_rate = learning_rate,
                  .momentum = optimizer.momentum,
                  .weight_decay = optimizer.weight_decay,
                  .nesterov = optimizer.nesterov},
                 scale);
  } else {
    update_->adam(parameters_, gradients_, state_[0], state_[1],
                  {.learning_rate = learning_rate,
                   .beta1 = optimizer.beta1,
                   .beta2 = optimizer.beta2,
                   .epsilon = optimizer.epsilon,
                   .weight_decay = optimizer.weight_decay,
                   .decoupled = optimizer.kind == OptimizerKind::adamw},
                  scale, step);
  }
  device_.flush();
}

template <typename Body>
void Plan::in_batches(std::span<const std::uint8_t> images, std::size_t count, Body&& body) {
  const std::size_t image_bytes = extent(model_.input().size());
  if (!norms_.empty()) load_statistics(running_);
  for (std::size_t first = 0; first < count; first += extent(options_.batch)) {
    const std::size_t piece = std::min(extent(options_.batch), count - first);
    upload_input(images.subspan(first * image_bytes, piece * image_bytes), piece);
    forward({.batch = static_cast<int>(piece), .training = false});
    body(first, piece);
  }
}

std::vector<float> Plan::infer(std::span<const std::uint8_t> images, std::size_t count) {
  const std::size_t classes = extent(model_.classes());
  const std::size_t columns = extent(edges_.back().layout.image_stride());
  std::vector<float> logits(count * classes);
  in_batches(images, count, [&](std::size_t first, std::size_t piece) {
    const opencl::Mapping mapping = device_.map(edges_.back().value, opencl::Access::read);
    const auto rows = mapping.as<float>();
    for (std::size_t i = 0; i < piece; ++i) {
      std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(i * columns), classes,
                  logits.begin() + static_cast<std::ptrdiff_t>((first + i) * classes));
    }
  });
  return logits;
}

Plan::Ranges Plan::output_ranges(std::span<const std::uint8_t> images, std::size_t count) {
  Ranges ranges;
  ranges.layers.assign(model_.layers().size(), 0.0f);
  in_batches(images, count, [&](std::size_t, std::size_t piece) {
    const auto measure = [&](const Edge& edge) {
      const opencl::Mapping mapping = device_.map(edge.value, opencl::Access::read);
      return largest_magnitude(edge.layout, mapping.as<float>(), static_cast<int>(piece));
    };
    ranges.input = std::max(ranges.input, measure(edges_.front()));
    for (const auto& operation : operations_) {
      float& range = ranges.layers[operation->last_layer()];
      range = std::max(range, measure(operation->out()));
    }
  });
  return ranges;
}

}  // namespace dovetail
