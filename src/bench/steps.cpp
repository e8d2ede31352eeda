// Runs the steps and looks at the clock between their parts.
#include "bench/steps.hpp"

#include <algorithm>

#include "support/clock.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::bench {
namespace {

constexpr std::size_t warm_up_steps = 5, timed_warm_up_steps = 10;
// The host hears of short steps that are enqueued ahead by several at once: only many of them
// together are timed rightly.
constexpr double timed_together_s = 0.05;
constexpr float learning_rate = 1e-6f;  // random labels: stay where the net is
constexpr double most_together = 2 * plan::StepRecords::most;

void expect_finite(bool finite) {
  if (!finite) throw Error("a step's sums are not finite numbers");
}

}  // namespace

std::vector<double> StepTimes::of(double StepParts::*part) const {
  std::vector<double> seconds;
  for (const StepParts& sample : samples) seconds.push_back(sample.*part);
  return seconds;
}

double StepTimes::mean(double StepParts::*part) const {
  double sum = 0;
  for (const StepParts& sample : samples) sum += sample.*part;
  return sum / static_cast<double>(samples.size());
}

Steps::Steps(Communicator& ranks, opencl::Device& device, Plan& plan, AllReduce& reduce,
             const StepOptions& options)
    : ranks_(ranks),
      device_(device),
      plan_(plan),
      options_(options),
      input_(ranks, plan, options),
      exchange_(plan, reduce, true) {
  if (options.format == ComputeFormat::fp16) {
    scale_.emplace();
    plan_.set_loss_scale(scale_->value());
  }
  if (ranks.size() == 1) ahead_.emplace(device, plan, scale_ ? &*scale_ : nullptr);
}

double Steps::warm_up() {
  run(warm_up_steps);
  device_.finish();
  ranks_.barrier();
  const Stopwatch watch;
  run(timed_warm_up_steps);
  device_.finish();
  const double step_s = watch.seconds() / static_cast<double>(timed_warm_up_steps);
  if (ahead_) {
    group_ = static_cast<std::size_t>(std::clamp(timed_together_s / step_s, 1.0, most_together));
    // The first steps on a device that has nothing to do wait for none before them: not to be
    // timed.
    run(std::clamp<std::size_t>(group_, 2, plan::StepRecords::most));
  }
  return ranks_.all_reduce_max(step_s);
}

StepTimes Steps::run(std::size_t steps) {
  StepTimes times;
  for (std::size_t done = 0; done < steps; done += group_) {
    StepParts sum;
    for (std::size_t i = 0; i < group_; ++i) {
      const StepParts one = ahead_ ? ahead() : together();
      const auto add = [&](double StepParts::*part) {
        sum.*part += one.*part / static_cast<double>(group_);
      };
      for (const auto part : {&StepParts::step, &StepParts::input, &StepParts::compute,
                              &StepParts::reduce, &StepParts::update})
        add(part);
    }
    times.samples.push_back(sum);
  }
  return times;
}

StepSamples Steps::next_samples() {
  StepSamples samples = input_.next();
  samples.first = step_ * static_cast<std::uint64_t>(options_.batch);
  taken_sending_ = samples.sending;
  return samples;
}

void Steps::update(double samples) {
  plan_.enqueue_update(learning_rate, {.samples = samples}, step_ + 1);
}

StepParts Steps::together() {
  StepParts parts;
  Stopwatch whole, phase;
  const StepSamples samples = next_samples();
  parts.input = phase.restart();
  const std::size_t size = samples.labels.size();
  plan_.enqueue_step(samples, std::span(&size, 1), true);
  parts.compute = phase.restart();
  GradientExchange::Timing timing;
  const GradientExchange::Sums sums = exchange_.sum(step_ + 1, {}, timing);
  parts.compute += timing.compute_s;
  parts.reduce = timing.reduce_s;
  phase.restart();
  const StepStatistics statistics = plan_.step_statistics(sums.reduction);
  bool accepted = true;
  if (scale_) accepted = scale_->after(sums.gradients_are_finite);
  expect_finite(sums.rest_is_finite && (scale_ || sums.gradients_are_finite));
  plan_.update_running_statistics(sums.reduction, statistics.normalised);
  exchange_.give_back();
  if (accepted) update(statistics.samples);
  if (scale_ && scale_->value() != plan_.loss_scale()) plan_.set_loss_scale(scale_->value());
  ++step_;
  input_.drop_oldest();
  parts.update = phase.seconds();
  parts.step = whole.seconds();
  return parts;
}

StepParts Steps::ahead() {
  StepParts parts;
  Stopwatch whole, phase;
  while (ahead_->is_full()) note_done(ahead_->wait());
  parts.compute = phase.restart();
  const StepSamples samples = next_samples();
  // Beside steps that still run it has cost the device nothing.
  (ahead_->are_running() ? parts.compute : parts.input) += phase.restart();
  const std::size_t size = samples.labels.size();
  ahead_->enqueue(step_, samples, std::span(&size, 1), learning_rate);
  parts.compute += phase.restart();
  ++step_;
  while (const auto done = ahead_->poll()) note_done(*done);
  parts.update = phase.seconds();
  parts.step = whole.seconds();
  return parts;
}

void Steps::note_done(const StepsAhead::Done& done) {
  input_.drop_oldest();
  expect_finite(!done.failed());
}

void Steps::catch_up() {
  while (ahead_ && ahead_->size() > 0) note_done(ahead_->wait());
}

std::optional<Reading> Steps::read_alone(double seconds) {
  catch_up();
  device_.finish();
  return input_.read_alone(seconds);
}

std::vector<double> Steps::buckets_alone(double& update_s) {
  catch_up();
  const StepSamples samples = next_samples();
  ranks_.barrier();
  const Stopwatch watch;
  const std::size_t size = samples.labels.size();
  plan_.enqueue_step(samples, std::span(&size, 1), true);
  std::vector<double> seconds;
  for (std::size_t bucket = 0; bucket < plan_.buckets().size(); ++bucket) {
    plan_.await_bucket(bucket);
    seconds.push_back(watch.seconds());
  }
  const Stopwatch rest;
  const StepStatistics statistics = plan_.step_statistics(plan_.reduction());
  for (std::size_t bucket = 0; bucket < plan_.buckets().size(); ++bucket)
    plan_.return_bucket(bucket);
  update(statistics.samples);
  ++step_;
  device_.finish();
  input_.drop_oldest();
  update_s = rest.seconds();
  return seconds;
}

std::vector<std::size_t> Steps::bucket_bytes() const {
  std::vector<std::size_t> bytes;
  for (const plan::Bucket& bucket : plan_.buckets()) bytes.push_back(bucket.size() * sizeof(float));
  return bytes;
}

}  // namespace dovetail::bench
