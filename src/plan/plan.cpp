// Runs a plan: parameters in and out, gradients, updates, inference.
#include "plan/plan.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "support/error.hpp"

namespace dovetail {

using plan::Edge;
using plan::Pass;

namespace {

/// Calls visit(row of values) for every line of the first `count` images' interiors.
template <typename Visit>
void for_each_line(const Layout& layout, std::span<const float> values, int count, Visit visit) {
  for (int n = 0; n < count; ++n) {
    for (int y = 0; y < layout.height; ++y) {
      visit(values.subspan(layout.index(n, y, 0, 0), extent(layout.width * layout.channel_stride)));
    }
  }
}

/// Mean of max(0, value) over the interior of the first `count` images.
double mean_positive_part(const Layout& layout, std::span<const float> values, int count) {
  double sum = 0;  // padding lanes are zero
  for_each_line(layout, values, count, [&](std::span<const float> line) {
    for (const float value : line) sum += value > 0 ? static_cast<double>(value) : 0.0;
  });
  return sum / (static_cast<double>(count) * layout.channels * layout.height * layout.width);
}

/// Largest |value| among the interior elements of the first `count` images.
float largest_magnitude(const Layout& layout, std::span<const float> values, int count) {
  float largest = 0;
  for_each_line(layout, values, count, [&](std::span<const float> line) {
    for (const float value : line) largest = std::max(largest, std::abs(value));
  });
  return largest;
}

/// Of every sixteenth row, or all where there are fewer: a histogram needs no more.
void count_magnitudes(const Layout& layout, std::span<const float> values, int count,
                      quant::Histogram& histogram) {
  for (int n = 0; n < count; ++n) {
    const int first = layout.height < 16 ? 0 : n % 16;
    for (int y = first; y < layout.height; y += layout.height < 16 ? 1 : 16)
      histogram.add(
          values.subspan(layout.index(n, y, 0, 0), extent(layout.width * layout.channel_stride)));
  }
}

}  // namespace

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
    put(norms_[i].statistics.running_mean, running_.at(norms_[i].running).value.values);
    put(norms_[i].statistics.running_variance, running_.at(norms_[i].running + 1).value.values);
  }
  for (const Step& step : steps_) {
    if (step.statistic)
      device_.write(step.value, running_.at(*step.statistic).value.values.data(), sizeof(float));
  }
}

void Plan::initialise_steps(std::span<const std::uint8_t> images, std::size_t count) {
  if (steps_.empty()) return;
  const Pass pass{.batch = static_cast<int>(count), .training = true};
  upload_input(images, count);
  normalise_.forward(images_, edges_.front().value, pass.batch);
  for (const auto& operation : operations_) {
    const auto step = std::find_if(steps_.begin(), steps_.end(), [&](const Step& candidate) {
      return candidate.layer == operation->last_layer();
    });
    if (step != steps_.end()) {
      double mean = 0;
      {
        const opencl::Mapping mapping = device_.map(operation->in().value, opencl::Access::read);
        mean = mean_positive_part(operation->in().layout, mapping.as<float>(), pass.batch);
      }
      const double root = std::sqrt(static_cast<double>(step->highest));
      const auto first =
          std::max(static_cast<float>(2 * mean / root), numeric::least_activation_step);
      device_.write(step->value, &first, sizeof first);
      if (step->statistic) running_[*step->statistic].value.values = {first};
    }
    operation->forward(pass);
  }
  device_.finish();
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
                             std::span<const std::int32_t> labels, std::uint64_t first_sample,
                             std::span<const float> weights) {
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
  // Both copies before the first launch: a copy waits for what was enqueued before it.
  upload_input(images, labels.size());
  if (cross_entropy_) {
    device_.write(labels_, labels.data(), labels.size_bytes());
  } else {
    write_targets(labels);
  }
  const bool weighed = !weights.empty() || loss_scale_ != 1;
  if (weighed) upload_weights(weights, labels.size());
  forward(pass);
  const Edge& logits = edges_.back();
  if (cross_entropy_) {
    cross_entropy_->forward_backward(logits.value, labels_, logits.gradient, loss_statistics_,
                                     pass.batch);
  } else {
    squared_error_->forward_backward(logits.value, targets_, logits.gradient, loss_statistics_,
                                     pass.batch);
  }
  if (weighed) weigh_rows_->run(logits.gradient, row_weights_, pass.batch);
  for (std::size_t i = operations_.size(); i-- > 0;) operations_[i]->backward(pass, i > 0);
  device_.flush();
}

void Plan::upload_weights(std::span<const float> weights, std::size_t count) {
  if (!weigh_rows_) {
    weigh_rows_.emplace(device_, variant_, edges_.back().layout.image_stride());
    row_weights_ = device_.allocate(extent(options_.batch) * sizeof(float));
  }
  std::vector<float> scaled(count, loss_scale_);  // without weights: all 1
  for (std::size_t i = 0; i < weights.size(); ++i) scaled[i] *= weights[i];
  device_.write(row_weights_, scaled.data(), scaled.size() * sizeof(float));
}

opencl::Mapping Plan::map_reduction() {
  opencl::Mapping mapping = device_.map(reduction_, opencl::Access::read_write);
  // Means and unbiased variances of this rank's samples become sums, so that adding the ranks
  // weighs them rightly.
  const std::span<float> values = mapping.as<float>();
  const float samples = values[statistics_offset_ + 2];
  values[statistics_offset_ + 3] = samples;
  vote(values, {});
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

bool Plan::gradients_are_finite(std::span<const float> reduction) const {
  return all_finite(reduction.first(arena_.elements()));
}

bool Plan::emulates_format() const {
  return std::any_of(operations_.begin(), operations_.end(),
                     [](const auto& operation) { return operation->emulates_format(); });
}

StepStatistics Plan::step_statistics(std::span<const float> reduction) const {
  const auto at = reduction.subspan(statistics_offset_, plan::statistics_elements);
  return {.loss_sum = at[0],
          .correct = at[1],
          .samples = at[2],
          .normalised = at[3],
          .votes = {.stop = at[4], .checkpoint = at[5]}};
}

void Plan::vote(std::span<float> reduction, const StepVotes& votes) const {
  const auto at = reduction.subspan(statistics_offset_, plan::statistics_elements);
  at[4] = static_cast<float>(votes.stop);
  at[5] = static_cast<float>(votes.checkpoint);
}

bool Plan::all_finite(std::span<const float> reduction) {
  constexpr std::uint32_t exponent = 0x7f800000u;  // all ones in NaN and infinities alone
  std::uint32_t broken = 0;
  for (const float value : reduction) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    broken |= (bits & exponent) == exponent ? 1u : 0u;
  }
  return broken == 0;
}

std::string Plan::first_not_finite(std::span<const float> reduction) const {
  if (all_finite(reduction)) return "";
  for (const plan::Slot& slot : arena_.slots()) {
    if (!all_finite(reduction.subspan(slot.offset, slot.elements))) return slot.spec.name;
  }
  return std::isfinite(reduction[statistics_offset_]) ? "the batch statistics" : "the loss";
}

std::vector<float> Plan::gradients(std::span<const float> reduction) const {
  std::vector<float> flat;
  for (const Parameter& gradient : arena_.gather(reduction.first(arena_.elements()))) {
    flat.insert(flat.end(), gradient.value.values.begin(), gradient.value.values.end());
  }
  for (float& value : flat) value /= loss_scale_;
  return flat;
}

void Plan::add_gradients(std::span<float> reduction, std::span<const float> gradients,
                         const StepStatistics& sums, double weight) const {
  const auto scale = static_cast<float>(weight) * loss_scale_;
  std::size_t next = 0;
  for (const plan::Slot& slot : arena_.slots()) {
    if (slot.device_index.size() > gradients.size() - next)
      throw Error("contributed gradients are those of another model");
    for (const std::uint32_t place : slot.device_index)
      reduction[slot.offset + place] += scale * gradients[next++];
  }
  const auto at = reduction.subspan(statistics_offset_, plan::statistics_elements);
  at[0] += static_cast<float>(weight * sums.loss_sum);
  at[1] += static_cast<float>(weight * sums.correct);
  at[2] += static_cast<float>(weight * sums.samples);
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
    blend(running_[norm.running].value.values, norm.mean_offset);
    blend(running_[norm.running + 1].value.values, norm.variance_offset);
  }
}

void Plan::enqueue_update(float learning_rate, const StepStatistics& statistics,
                          std::uint64_t step) {
  const OptimizerSettings& optimizer = options_.optimizer;
  const float scale =
      static_cast<float>(1 / (statistics.samples * static_cast<double>(loss_scale_)));
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
  ranges.histograms.resize(model_.layers().size());
  in_batches(images, count, [&](std::size_t, std::size_t piece) {
    const auto measure = [&](const Edge& edge) {
      const opencl::Mapping mapping = device_.map(edge.value, opencl::Access::read);
      return largest_magnitude(edge.layout, mapping.as<float>(), static_cast<int>(piece));
    };
    ranges.input = std::max(ranges.input, measure(edges_.front()));
    for (const auto& operation : operations_) {
      const std::size_t layer = operation->last_layer();
      ranges.layers[layer] = std::max(ranges.layers[layer], measure(operation->out()));
      count_magnitudes(operation->out().layout,
                       device_.map(operation->out().value, opencl::Access::read).as<float>(),
                       static_cast<int>(piece), ranges.histograms[layer]);
    }
  });
  return ranges;
}

}  // namespace dovetail
