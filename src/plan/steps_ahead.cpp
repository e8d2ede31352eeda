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

StepsAhead::StepsAhead(opencl::Device& device, Plan& plan, LossScale* scale)
    : device_(device),
      plan_(plan),
      scale_(scale),
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
  if (is_full()) throw Error(fmt::format("step {} is enqueued too early", step + 1));
  if (under_way_.empty()) since_done_.restart();
  StepSamples staying = samples;
  staying.stays = true;
  plan_.enqueue_step(staying, sizes, false);
  const auto count = static_cast<double>(samples.labels.size());
  enqueue_update(step, {.samples = count, .normalised = count}, learning_rate);
  records_.note_added();
  under_way_.push_back({step, sizes.size() > 1});
  if (++unsent_ < ahead_ / 2 && under_way_.size() > 1) return;
  records_.send();
  unsent_ = 0;
}

void StepsAhead::enqueue_update(std::uint64_t step, const StepStatistics& statistics,
                                float learning_rate) {
  const opencl::Buffer& record = records_.next_place();
  const bool makes_record = plan_.records_updates() && !scale_;
  if (!makes_record) {
    const timeline::Part part("record");
    records_.make(plan_.sums_on_device());
  }
  if (scale_) {
    plan_.enqueue_scaled_update(learning_rate, statistics, step + 1, record);
  } else {
    plan_.enqueue_update(learning_rate, statistics, step + 1,
                         makes_record ? record : opencl::Buffer());
  }
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
            .overflowed = scale_ && record.first_not_finite && Plan::all_finite(record.rest),
            .not_finite = plan_.name_not_finite(record.first_not_finite, record.rest)};
  if (done.failed()) return done;
  plan_.fold_statistics(record.rest, done.statistics.normalised);
  if (scale_) {
    scale_->after(!done.overflowed);
    plan_.note_loss_scale(scale_->value());
  }
  return done;
}

}  // namespace dovetail
