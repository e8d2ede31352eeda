// Waits where told to, measures now and then, adds.
#include "train/boost_contribution.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

namespace dovetail {
namespace {

constexpr std::chrono::microseconds poll_interval{50};

/// Adds `more` to `sum`, which takes its length from the first.
void accumulate(std::vector<float>& sum, const std::vector<float>& more) {
  sum.resize(more.size(), 0.0f);
  std::transform(sum.begin(), sum.end(), more.begin(), sum.begin(), std::plus<>());
}

double samples_of(const std::vector<BoostArrivals::Gradients>& parts) {
  double samples = 0;
  for (const BoostArrivals::Gradients& part : parts)
    samples += static_cast<double>(part.samples.count);
  return samples;
}

}  // namespace

std::uint64_t measurement_interval(const BoostSettings& settings) {
  std::uint64_t interval = settings.measure_every;
  while (std::gcd(interval, settings.staleness + 1) != 1) ++interval;
  return interval;
}

BoostContribution::BoostContribution(Plan& plan, ShardReader samples, const StepSchedule& schedule,
                                     const BoostTiming& timing, const BoostSettings& settings,
                                     Lead lead)
    : plan_(plan),
      samples_(std::move(samples)),
      schedule_(schedule),
      timing_(timing),
      settings_(settings),
      lead_(std::move(lead)),
      weight_(settings.weight) {}

void BoostContribution::add_to(std::optional<opencl::Mapping>& reduction, std::uint64_t step) {
  lead_.poll();
  while (timing_.wait && !lead_.arrivals->has_all_gradients(step) && lead_.serving() > 0) {
    std::this_thread::sleep_for(poll_interval);
    lead_.poll();
  }
  const std::vector<BoostArrivals::Gradients> parts = lead_.arrivals->take_gradients(step);
  lead_.counters->late_gradients = lead_.arrivals->late_gradients();
  std::size_t arrived = 0;
  for (const BoostArrivals::Gradients& part : parts) arrived += part.samples.count;
  if (lead_.serving() > 0)  // else the GPU ranks have trained on them
    lead_.counters->missing_samples += schedule_.at(step).contributed.count - arrived;
  if (parts.empty()) return;
  if (step >= next_measurement_) measure(reduction, step, parts);
  for (const BoostArrivals::Gradients& part : parts) {
    const StepStatistics sums{.loss_sum = part.sums.loss_sum,
                              .correct = static_cast<double>(part.sums.correct),
                              .samples = static_cast<double>(part.samples.count)};
    plan_.add_gradients(reduction->as<float>(), part.values, sums, weight_.weight());
    lead_.counters->boosted_samples += part.samples.count;
    lead_.counters->gradient_staleness.add(step - std::min(step, part.sums.version));
  }
  ++lead_.counters->boosted_steps;
}

void BoostContribution::measure(std::optional<opencl::Mapping>& reduction, std::uint64_t step,
                                const std::vector<BoostArrivals::Gradients>& parts) {
  next_measurement_ = step + measurement_interval(settings_);
  const auto mapped = reduction->as<float>();
  const std::vector<float> mine(mapped.begin(), mapped.end());
  const double my_samples = plan_.step_statistics(mine).samples;
  if (my_samples == 0) return;
  reduction.reset();
  const std::vector<float> float32 = reference(step, parts);
  reduction.emplace(plan_.map_reduction());
  std::copy(mine.begin(), mine.end(), reduction->as<float>().begin());

  std::vector<float> contributed;
  for (const BoostArrivals::Gradients& part : parts) accumulate(contributed, part.values);
  const double samples = samples_of(parts);
  const BoostMeasurement measured =
      measure_boost(plan_.gradients(mine), my_samples, float32, contributed, samples);
  weight_.add(measured, samples);
  lead_.log->event("boost", {{"step", step + 1},
                             {"kind", "gradients"},
                             {"format", settings_.gradient_format},
                             {"version", parts.front().sums.version},
                             {"samples", samples},
                             {"cosine", measured.cosine},
                             {"norm_ratio", measured.norm_ratio},
                             {"weight", weight_.weight()}});
}

std::vector<float> BoostContribution::reference(
    std::uint64_t step, const std::vector<BoostArrivals::Gradients>& parts) {
  const StepSchedule::Step plan = schedule_.at(step);
  std::vector<float> sum;
  Batch batch;
  for (const BoostArrivals::Gradients& part : parts) {
    const std::size_t end = part.samples.begin + part.samples.count;
    for (std::size_t at = part.samples.begin; at < end; at += plan_.capacity()) {
      const std::size_t begin = plan.contributed.begin + at;
      samples_.read({.epoch = static_cast<std::int64_t>(plan.epoch),
                     .begin = begin,
                     .count = std::min(plan_.capacity(), end - at)},
                    batch);
      plan_.enqueue_gradients(batch.images, batch.labels, plan.epoch * schedule_.samples + begin);
      const opencl::Mapping mapping = plan_.map_reduction();
      accumulate(sum, plan_.gradients(mapping.as<float>()));
    }
  }
  return sum;
}

}  // namespace dovetail
