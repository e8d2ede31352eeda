// Steps of several passes: one behind the other, their sums added up on the device, or joined.
#include <algorithm>
#include <bit>

#include "plan/plan.hpp"
#include "support/timeline.hpp"

namespace dovetail {

void Plan::weigh_batch_statistics(std::size_t samples) {
  const auto weight = static_cast<float>(samples);
  for (const Norm& norm : norms_) {
    accumulate_->scale(norm.statistics.batch_mean, weight);
    accumulate_->scale(norm.statistics.batch_variance, weight * norm.unbias(weight));
  }
}

void Plan::add_partial_sums(std::size_t number, std::size_t bucket) {
  // The last pass completes all pairs.
  for (std::size_t level = 0; (number >> level & 1u) != 0; ++level)
    accumulate_->add(partial_sums_[level], reduction_, buckets_[bucket].begin,
                     buckets_[bucket].size());
}

void Plan::make_partial_sums(std::size_t passes) {
  if (!accumulate_) accumulate_.emplace(device_, variant_);
  const auto levels = static_cast<std::size_t>(std::countr_zero(passes));
  while (partial_sums_.size() < levels)
    partial_sums_.push_back(device_.allocate(reduction_.bytes()));
}

bool Plan::joins_passes(const JoinedBatch& batch) const {
  if (batch.passes == 1 || batch.each == 0 || !pass_values_ || batch.samples() > room())
    return false;
  return chain_ || std::ranges::all_of(
                       operations_, [&](const auto& operation) { return operation->joins(batch); });
}

std::optional<JoinedBatch> Plan::joined(std::span<const std::size_t> sizes,
                                        std::size_t samples) const {
  const auto differs = [&](std::size_t size) { return size != sizes.front(); };
  if (std::ranges::any_of(sizes, differs) || sizes.front() * sizes.size() != samples)
    return std::nullopt;
  const JoinedBatch batch(static_cast<int>(sizes.front()), static_cast<int>(sizes.size()));
  return joins_passes(batch) ? std::optional(batch) : std::nullopt;
}

void Plan::make_pass_sums() {
  if (room_of(device_, model_, options_) == options_.batch) return;
  constexpr std::size_t losses = 3;  // of a pass: sum of the losses, hits, samples
  plan::Arena values(device_.alignment());
  const std::size_t nothing = values.reserve(1);
  pass_sources_.assign(reduction_elements_ - arena_.elements(),
                       {.first = static_cast<std::int32_t>(nothing)});
  // A row of `width` values for each pass; their sums' place in the reduction.
  const auto place = [&](std::size_t offset, std::size_t width) {
    const std::size_t first = values.reserve(width * extent(options_.passes));
    for (std::size_t i = 0; i < width; ++i)
      pass_sources_[offset - arena_.elements() + i] = {
          .first = static_cast<std::int32_t>(first + i), .step = static_cast<std::int32_t>(width)};
    return first;
  };
  std::vector<std::pair<std::size_t, std::size_t>> norms;
  for (const Norm& norm : norms_) {
    const std::size_t width = norm.statistics.batch_mean.bytes() / sizeof(float);
    const std::size_t mean = place(norm.mean_offset, width);
    norms.emplace_back(mean, place(norm.variance_offset, width));
  }
  const std::size_t loss = place(statistics_offset_, losses);
  pass_values_ = device_.allocate_zeroed(values.elements() * sizeof(float));
  const auto slice = [&](std::size_t first, std::size_t width) {
    return pass_values_.slice(first * sizeof(float),
                              width * extent(options_.passes) * sizeof(float));
  };
  for (std::size_t i = 0; i < norms_.size(); ++i) {
    const std::size_t width = norms_[i].statistics.batch_mean.bytes() / sizeof(float);
    norms_[i].statistics.pass_mean = slice(norms[i].first, width);
    norms_[i].statistics.pass_variance = slice(norms[i].second, width);
  }
  pass_loss_ = slice(loss, losses);
  pass_sources_on_device_ = device_.allocate(pass_sources_.size() * sizeof(Accumulate::Source));
  if (!accumulate_) accumulate_.emplace(device_, variant_);
}

void Plan::weigh_pass_sums(const JoinedBatch& batch) {
  if (weighed_for_ == batch.each) return;
  const auto weigh = [&](std::size_t offset, std::size_t width, float weight) {
    for (std::size_t i = 0; i < width; ++i)
      pass_sources_[offset - arena_.elements() + i].weight = weight;
  };
  const auto samples = static_cast<float>(batch.each);
  for (const Norm& norm : norms_) {
    const std::size_t width = norm.statistics.batch_mean.bytes() / sizeof(float);
    weigh(norm.mean_offset, width, samples);
    weigh(norm.variance_offset, width, samples * norm.unbias(samples));
  }
  weigh(statistics_offset_, plan::statistics_elements, 1);
  device_.write(pass_sources_on_device_, pass_sources_.data(),
                pass_sources_.size() * sizeof(Accumulate::Source));
  weighed_for_ = batch.each;
}

void Plan::fold_passes(const JoinedBatch& batch) {
  accumulate_->fold_passes(pass_values_, pass_sources_on_device_, reduction_, arena_.elements(),
                           batch.passes);
}

}  // namespace dovetail
