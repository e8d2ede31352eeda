// What a plan's steps sum over the ranks: gradients, batch statistics, loss, counts, votes.
#include <algorithm>
#include <bit>
#include <cmath>

#include "plan/plan.hpp"
#include "support/error.hpp"

namespace dovetail {

opencl::Mapping Plan::map_reduction() {
  opencl::Mapping mapping = device_.map(reduction_, opencl::Access::read_write);
  finish_statistics(mapping.as<float>());
  return mapping;
}

bool Plan::bucket_arrived(std::size_t bucket) {
  if (!memory_.arrived(bucket)) return false;
  if (bucket + 1 == buckets_.size()) finish_statistics(memory_.host());
  return true;
}

void Plan::await_bucket(std::size_t bucket) {
  memory_.await(bucket);
  if (bucket + 1 == buckets_.size()) finish_statistics(memory_.host());
}

void Plan::finish_statistics(std::span<float> values) {
  const float samples = values[statistics_offset_ + 2];
  values[statistics_offset_ + 3] = samples;
  vote(values, {});
  if (statistics_are_sums_) return;
  // Means and unbiased variances of this rank's samples become sums, so that adding the ranks
  // weighs them rightly.
  for (const Norm& norm : norms_) {
    const float count = samples * static_cast<float>(norm.samples_per_image);
    const float unbias = count > 1 ? count / (count - 1) : 1;
    for (std::size_t c = 0; c < norm.channels; ++c) {
      values[norm.mean_offset + c] *= samples;
      values[norm.variance_offset + c] *= samples * unbias;
    }
  }
}

bool Plan::gradients_are_finite(std::span<const float> reduction) const {
  return all_finite(reduction.first(arena_.elements()));
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

}  // namespace dovetail
