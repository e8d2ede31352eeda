// Waits where told to, measures now and then, adds.
#include "train/boost_contribution.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>

#include "quant/range_error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr std::chrono::microseconds poll_interval{50};

/// Adds `more` to `sum`, which takes its length from the first.
void accumulate(std::vector<float>& sum, const std::vector<float>& more) {
  sum.resize(more.size(), 0.0f);
  std::transform(sum.begin(), sum.end(), more.begin(), sum.begin(), std::plus<>());
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

Summand& BoostContribution::of(std::uint64_t step) {
  step_ = step;
  return *this;
}

bool BoostContribution::has_come() {
  lead_.poll();
  return lead_.arrivals->has_all_gradients(step_) || lead_.serving() == 0;
}

void BoostContribution::take() {
  lead_.poll();
  while (timing_.wait && !has_come()) std::this_thread::sleep_for(poll_interval);
  parts_.clear();
  std::size_t arrived = 0;
  for (BoostArrivals::Gradients& part : lead_.arrivals->take_gradients(step_)) {
    expect_finite(part);
    lead_.counters->boosted_samples += part.samples.count;
    arrived += part.samples.count;
    lead_.counters->gradient_staleness.add(step_ - std::min(step_, part.sums.version));
    std::vector<float> in_order = plan_.in_reduction_order(part.values);
    parts_.push_back({std::move(part), std::move(in_order)});
  }
  lead_.counters->late_gradients = lead_.arrivals->late_gradients();
  if (!lead_.alone())
    lead_.counters->missing_samples += schedule_.at(step_).contributed.count - arrived;
  if (!parts_.empty()) ++lead_.counters->boosted_steps;
}

void BoostContribution::expect_finite(const BoostArrivals::Gradients& part) const {
  if (std::isfinite(part.sums.loss_sum) && Plan::all_finite(part.values)) return;
  const std::uint64_t age = step_ - std::min(step_, part.sums.version);
  throw quant::RangeError(fmt::format(
      "the gradients that FPGA ranks contributed to step {} are not finite numbers: {} samples in "
      "{}, {}, by weights {} old",
      step_ + 1, part.samples.count, settings_.gradient_format, weight_text(),
      counted(age, "step")));
}

std::string BoostContribution::weight_text() const {
  return fmt::format("weight {:.3g}{}", weight_.weight(), settings_.weight ? "" : " as measured");
}

std::string BoostContribution::so_far() const {
  const BoostCounters& done = *lead_.counters;
  if (done.boosted_steps == 0) return "";
  std::string text =
      fmt::format("FPGA ranks contributed gradients to {} (in {}, {}, by weights up to {} old",
                  counted(done.boosted_steps, "step"), settings_.gradient_format, weight_text(),
                  counted(done.gradient_staleness.largest, "step"));
  if (weight_.measurements() > 0)
    text += fmt::format(", mean cosine with float32 {:.2f}", weight_.mean_cosine());
  return text + ")";
}

void BoostContribution::add(const plan::Bucket& bucket, std::span<float> reduction) {
  for (const Part& part : parts_) {
    const StepStatistics sums{.loss_sum = part.gradients.sums.loss_sum,
                              .correct = static_cast<double>(part.gradients.sums.correct),
                              .samples = static_cast<double>(part.gradients.samples.count)};
    plan_.add_to_bucket(bucket, reduction, part.in_order, sums, weight_.weight());
  }
}

void BoostContribution::add_to(std::optional<opencl::Mapping>& reduction, std::uint64_t step) {
  step_ = step;
  take();
  if (!parts_.empty() && measures(step)) measure(reduction);
  const std::span<float> whole = reduction->as<float>();
  add({0, whole.size()}, whole);
}

void BoostContribution::measure(std::optional<opencl::Mapping>& reduction) {
  next_measurement_ = step_ + measurement_interval(settings_);
  const auto mapped = reduction->as<float>();
  const std::vector<float> mine(mapped.begin(), mapped.end());
  const double my_samples = plan_.step_statistics(mine).samples;
  if (my_samples == 0) return;
  reduction.reset();
  const std::vector<float> float32 = reference();
  if (!Plan::all_finite(float32)) {
    throw quant::RangeError(fmt::format(
        "the float32 gradients of samples that FPGA ranks contributed to step {} are not finite "
        "numbers",
        step_ + 1));
  }
  reduction.emplace(plan_.map_reduction());
  std::copy(mine.begin(), mine.end(), reduction->as<float>().begin());

  std::vector<float> contributed;
  double samples = 0;
  for (const Part& part : parts_) {
    accumulate(contributed, part.gradients.values);
    samples += static_cast<double>(part.gradients.samples.count);
  }
  const BoostMeasurement measured =
      measure_boost(plan_.gradients(mine), my_samples, float32, contributed, samples);
  weight_.add(measured, samples);
  lead_.log->event("boost", {{"step", step_ + 1},
                             {"kind", "gradients"},
                             {"format", settings_.gradient_format},
                             {"version", parts_.front().gradients.sums.version},
                             {"samples", samples},
                             {"cosine", measured.cosine},
                             {"norm_ratio", measured.norm_ratio},
                             {"weight", weight_.weight()}});
}

std::vector<float> BoostContribution::reference() {
  const StepSchedule::Step plan = schedule_.at(step_);
  std::vector<float> sum;
  Batch batch;
  for (const Part& part : parts_) {
    const Share& mine = part.gradients.samples;
    const std::size_t end = mine.begin + mine.count;
    for (std::size_t at = mine.begin; at < end; at += plan_.capacity()) {
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
