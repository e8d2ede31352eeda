// What a plan's steps sum over the ranks: gradients, batch statistics, loss, counts, votes.
#include <algorithm>
#include <bit>
#include <cmath>

#include "plan/plan.hpp"
#include "support/error.hpp"

namespace dovetail {

opencl::Mapping Plan::map_reduction() {
  opencl::Mapping mapping = device_.map(reduction_, opencl::Access::read_write);
  finish_statistics(mapping.as<float>().subspan(arena_.elements()), statistics_are_sums_);
  return mapping;
}

bool Plan::bucket_arrived(std::size_t bucket) {
  if (!memory_.arrived(bucket)) return false;
  if (bucket + 1 == buckets_.size())
    finish_statistics(memory_.host().subspan(arena_.elements()), statistics_are_sums_);
  return true;
}

void Plan::await_bucket(std::size_t bucket) {
  memory_.await(bucket);
  if (bucket + 1 == buckets_.size())
    finish_statistics(memory_.host().subspan(arena_.elements()), statistics_are_sums_);
}

void Plan::finish_statistics(std::span<float> rest, bool are_sums) const {
  const auto at = rest.subspan(statistics_offset_ - arena_.elements(), plan::statistics_elements);
  const float samples = at[2];
  at[3] = samples;
  at[4] = at[5] = 0;
  if (are_sums) return;
  // Means and unbiased variances of this rank's samples become sums, so that adding the ranks
  // weighs them rightly.
  for (const Norm& norm : norms_) {
    const float unbias = norm.unbias(samples);
    for (std::size_t c = 0; c < norm.channels; ++c) {
      rest[norm.mean_offset - arena_.elements() + c] *= samples;
      rest[norm.variance_offset - arena_.elements() + c] *= samples * unbias;
    }
  }
}

StepStatistics Plan::statistics_of(std::span<const float> rest) const {
  const auto at = rest.subspan(statistics_offset_ - arena_.elements(), plan::statistics_elements);
  return {.loss_sum = at[0],
          .correct = at[1],
          .samples = at[2],
          .normalised = at[3],
          .votes = {.stop = at[4], .checkpoint = at[5]}};
}

StepStatistics Plan::step_statistics(std::span<const float> reduction) const {
  return statistics_of(reduction.subspan(arena_.elements()));
}

StepStatistics Plan::finish_alone(std::span<float> rest, bool are_sums) const {
  finish_statistics(rest, are_sums);
  return statistics_of(rest);
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
  const auto broken = [](float value) { return !std::isfinite(value); };
  const auto gradients = reduction.first(arena_.elements());
  const auto at = std::ranges::find_if(gradients, broken);
  std::optional<std::size_t> first;
  if (at != gradients.end()) first = static_cast<std::size_t>(at - gradients.begin());
  return name_not_finite(first, reduction.subspan(arena_.elements()));
}

std::string Plan::name_not_finite(std::optional<std::size_t> gradient,
                                  std::span<const float> rest) const {
  for (const plan::Slot& slot : arena_.slots()) {
    if (gradient && *gradient < slot.offset + slot.elements) return slot.spec.name;
  }
  if (all_finite(rest)) return "";
  return std::isfinite(statistics_of(rest).loss_sum) ? "the batch statistics" : "the loss";
}

std::vector<float> Plan::gradients(std::span<const float> reduction) const {
  std::vector<float> flat;
  for (const Parameter& gradient : arena_.gather(reduction.first(arena_.elements()))) {
    flat.insert(flat.end(), gradient.value.values.begin(), gradient.value.values.end());
  }
  for (float& value : flat) value /= loss_scale_;
  return flat;
}

std::vector<float> Plan::in_reduction_order(std::span<const float> gradients) const {
  std::vector<float> in_order(arena_.elements(), 0.0f);
  std::size_t next = 0;
  for (const plan::Slot& slot : arena_.slots()) {
    if (slot.device_index.size() > gradients.size() - next)
      throw Error("contributed gradients are those of another model");
    for (const std::uint32_t place : slot.device_index)
      in_order[slot.offset + place] = gradients[next++];
  }
  return in_order;
}

void Plan::add_to_bucket(const plan::Bucket& bucket, std::span<float> reduction,
                         std::span<const float> in_order, const StepStatistics& sums,
                         double weight) const {
  const auto scale = static_cast<float>(weight) * loss_scale_;
  const std::size_t end = std::min(bucket.end, arena_.elements());
  for (std::size_t i = bucket.begin; i < end; ++i) reduction[i] += scale * in_order[i];
  if (bucket.end <= statistics_offset_) return;
  const auto at = reduction.subspan(statistics_offset_, plan::statistics_elements);
  at[0] += static_cast<float>(weight * sums.loss_sum);
  at[1] += static_cast<float>(weight * sums.correct);
  at[2] += static_cast<float>(weight * sums.samples);
}

void Plan::add_gradients(std::span<float> reduction, std::span<const float> gradients,
                         const StepStatistics& sums, double weight) const {
  add_to_bucket({0, reduction.size()}, reduction, in_reduction_order(gradients), sums, weight);
}

void Plan::update_running_statistics(std::span<const float> reduction, double samples) {
  fold_statistics(reduction.subspan(arena_.elements()), samples);
}

void Plan::fold_statistics(std::span<const float> rest, double samples) {
  for (const Norm& norm : norms_) {
    const auto blend = [&](std::vector<float>& running, std::size_t offset) {
      for (std::size_t c = 0; c < norm.channels; ++c) {
        const float newest = rest[offset - arena_.elements() + c] / static_cast<float>(samples);
        running[c] += norm.momentum * (newest - running[c]);
      }
    };
    blend(running_[norm.running].value.values, norm.mean_offset);
    blend(running_[norm.running + 1].value.values, norm.variance_offset);
  }
}

}  // namespace dovetail
