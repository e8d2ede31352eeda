// Enqueues as far ahead as short steps need, and long ones by two.
#include "plan/steps_ahead.hpp"

#include <algorithm>

#include "support/error.hpp"
#include "support/log.hpp"
#include "support/timeline.hpp"

namespace dovetail {
namespace {

/// The work that waits on the device: enough for the host's delays, and records travel seldom
/// enough; yet a signal to stop waits no longer than that, or two steps.
constexpr double wanted_ahead_s = 0.002;
constexpr double newest_weight = 1.0 / 16;  // of one step in the mean

}  // namespace

StepsAhead::StepsAhead(opencl::Device& device, Plan& plan, bool overflows)
    : device_(device),
      plan_(plan),
      overflows_(overflows),
      records_(device, plan.gradient_elements(), plan.buckets().back().size(),
               plan.keeps_reduction() ? opencl::HostedBuffer::Way::copy
                                      : opencl::HostedBuffer::Way::map) {}

StepsAhead::~StepsAhead() {
  try {
    device_.finish();
  } catch (const std::exception& failure) {
    log::error(failure.what());
  }
}

bool StepsAhead::is_full() const {
  return under_way_.size() >= ahead_ || !records_.has_room();
}

void StepsAhead::enqueue(std::uint64_t step, const StepSamples& samples,
                         std::span<const std::size_t> sizes, float learning_rate) {
  const auto count = static_cast<double>(samples.labels.size());
  const StepStatistics statistics{.samples = count, .normalised = count};
  if (!plan_.records_updates()) {
    enqueue_gradients(step, samples, sizes);
    plan_.enqueue_update(learning_rate, statistics, step + 1);
    return;
  }
  begin(step, samples, sizes);
  plan_.enqueue_update(learning_rate, statistics, step + 1, records_.next_place());
  records_.note_added();
  end(step, sizes);
}

void StepsAhead::enqueue_gradients(std::uint64_t step, const StepSamples& samples,
                                   std::span<const std::size_t> sizes) {
  begin(step, samples, sizes);
  {
    const timeline::Part part("record");
    records_.add(plan_.sums_on_device());
  }
  end(step, sizes);
}

StepsAhead::Done StepsAhead::run_scaled(std::uint64_t step, const StepSamples& samples,
                                        std::span<const std::size_t> sizes, float learning_rate,
                                        LossScale& scale) {
  if (!under_way_.empty()) throw Error(fmt::format("step {} is enqueued too early", step + 1));
  enqueue_gradients(step, samples, sizes);
  Done done = wait();
  if (done.failed()) return done;
  if (scale.after(!done.overflowed)) {
    plan_.enqueue_update(learning_rate, {.samples = static_cast<double>(samples.labels.size())},
                         step + 1);
  }
  plan_.set_loss_scale(scale.value());
  return done;
}

void StepsAhead::begin(std::uint64_t step, StepSamples samples,
                       std::span<const std::size_t> sizes) {
  if (is_full()) throw Error(fmt::format("step {} is enqueued too early", step + 1));
  if (under_way_.empty()) since_done_.restart();
  samples.stays = true;
  plan_.enqueue_step(samples, sizes, false);
}

void StepsAhead::end(std::uint64_t step, std::span<const std::size_t> sizes) {
  under_way_.push_back({step, sizes.size() > 1});
  if (++unsent_ < ahead_ / 2 && under_way_.size() > 1) return;
  records_.send();
  unsent_ = 0;
}

std::optional<StepsAhead::Done> StepsAhead::poll() {
  if (under_way_.empty() || !records_.arrived()) return std::nullopt;
  return take();
}

StepsAhead::Done StepsAhead::wait() {
  return take();
}

StepsAhead::Done StepsAhead::take() {
  const plan::StepRecords::Record record = records_.take();
  const double seconds = since_done_.restart();
  step_s_ = step_s_ > 0 ? step_s_ + newest_weight * (seconds - step_s_) : seconds;
  ahead_ = static_cast<std::size_t>(
      std::clamp(wanted_ahead_s / step_s_, 2.0, static_cast<double>(plan::StepRecords::most)));
  const UnderWay oldest = under_way_.front();
  under_way_.pop_front();
  Done done{.step = oldest.step,
            .statistics = plan_.finish_alone(record.rest, oldest.are_sums),
            .overflowed = overflows_ && record.first_not_finite && Plan::all_finite(record.rest),
            .not_finite = plan_.name_not_finite(record.first_not_finite, record.rest)};
  if (!done.failed()) plan_.fold_statistics(record.rest, done.statistics.normalised);
  return done;
}

}  // namespace dovetail
