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
  if (batch.passes == 1 || batch.each == 0 || room() == options_.batch || batch.samples() > room())
    return false;
  const std::span single(operations_.begin(), chain_begin());
  return std::ranges::all_of(single,
                             [&](const auto& operation) { return operation->joins(batch); });
}

std::optional<JoinedBatch> Plan::joined(std::span<const std::size_t> sizes,
                                        std::size_t samples) const {
  const auto differs = [&](std::size_t size) { return size != sizes.front(); };
  if (std::ranges::any_of(sizes, differs) || sizes.front() * sizes.size() != samples)
    return std::nullopt;
  const JoinedBatch batch(static_cast<int>(sizes.front()), static_cast<int>(sizes.size()));
  return joins_passes(batch) ? std::optional(batch) : std::nullopt;
}

void Plan::make_pass_statistics() {
  if (norms_.empty() || room() == options_.batch) return;
  const auto passes = extent(options_.passes);
  plan::Arena values(device_.alignment());
  values.reserve(1);  // stays zero, for what lies between the statistics, behind the gradients
  pass_sources_.assign(statistics_offset_ - arena_.elements(), {});
  struct Place {
    opencl::Buffer* slice;
    std::size_t first, elements;
  };
  std::vector<Place> places;
  for (Norm& norm : norms_) {
    const std::size_t width = norm.statistics.batch_mean.bytes() / sizeof(float);
    const auto place = [&](std::size_t offset, opencl::Buffer& slice) {
      const std::size_t first = values.reserve(width * passes);
      for (std::size_t i = 0; i < width; ++i)
        pass_sources_[offset - arena_.elements() + i] = {
            .first = static_cast<std::int32_t>(first + i),
            .step = static_cast<std::int32_t>(width)};
      places.push_back({&slice, first, width * passes});
    };
    place(norm.mean_offset, norm.statistics.pass_mean);
    place(norm.variance_offset, norm.statistics.pass_variance);
  }
  pass_values_ = device_.allocate_zeroed(values.elements() * sizeof(float));
  for (const Place& place : places)
    *place.slice = pass_values_.slice(place.first * sizeof(float), place.elements * sizeof(float));
  pass_sources_on_device_ = device_.allocate(pass_sources_.size() * sizeof(Accumulate::Source));
  if (!accumulate_) accumulate_.emplace(device_, variant_);
}

void Plan::weigh_pass_statistics(const JoinedBatch& batch) {
  if (!pass_values_ || weighed_for_ == batch.each) return;
  const auto samples = static_cast<float>(batch.each);
  for (const Norm& norm : norms_) {
    const std::size_t width = norm.statistics.batch_mean.bytes() / sizeof(float);
    const auto weigh = [&](std::size_t offset, float weight) {
      for (std::size_t i = 0; i < width; ++i)
        pass_sources_[offset - arena_.elements() + i].weight = weight;
    };
    weigh(norm.mean_offset, samples);
    weigh(norm.variance_offset, samples * norm.unbias(samples));
  }
  device_.write(pass_sources_on_device_, pass_sources_.data(),
                pass_sources_.size() * sizeof(Accumulate::Source));
  weighed_for_ = batch.each;
}

void Plan::fold_pass_statistics(const JoinedBatch& batch) {
  if (!pass_values_) return;
  accumulate_->fold_passes(pass_values_, pass_sources_on_device_, reduction_, arena_.elements(),
                           batch.passes);
}

}  // namespace dovetail
