// The steps of a rank that trains alone: its sums stay on the device, and it enqueues steps while
// earlier ones run.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>

#include "model/loss_scale.hpp"
#include "plan/plan.hpp"
#include "plan/step_records.hpp"
#include "support/clock.hpp"

namespace dovetail {

class StepsAhead {
 public:
  /// `scale`: gradients are times a loss scale, that of Plan::set_loss_scale at first. Where they
  /// alone are not finite, that is no failure: the step has no update, and the scale follows, on
  /// the device at once and here when the step is known to be done.
  StepsAhead(opencl::Device& device, Plan& plan, LossScale* scale = nullptr);
  /// Waits for the device, which may still read the steps' samples.
  ~StepsAhead();
  StepsAhead(const StepsAhead&) = delete;
  StepsAhead& operator=(const StepsAhead&) = delete;

  /// What became of a step.
  struct Done {
    std::uint64_t step = 0;
    StepStatistics statistics;
    bool overflowed = false;  // nothing but gradients is not finite, and there is a loss scale
    std::string not_finite;   // what is, as Plan::first_not_finite; empty where all is finite
    /// Its update may have been applied, and the loss scale is not known any more: the end.
    bool failed() const { return !not_finite.empty() && !overflowed; }
  };

  /// Steps that were enqueued and of which the host does not know yet what became.
  std::size_t size() const { return under_way_.size(); }
  /// The oldest of them.
  std::uint64_t oldest() const { return under_way_.front().step; }
  /// Whether some of them are known to run still; others may.
  bool are_running() const { return records_.are_travelling(); }
  /// Whether the oldest must be waited for before another one is enqueued.
  bool is_full() const;
  /// As Plan::enqueue_step and Plan::enqueue_update; `step` counts from 0. The samples stay as they
  /// are until the step is done. Throws Error where is_full().
  void enqueue(std::uint64_t step, const StepSamples& samples, std::span<const std::size_t> sizes,
               float learning_rate);
  /// The oldest step, if it is done; never waits.
  std::optional<Done> poll();
  /// The oldest step, of which there is one. Running statistics have followed it.
  Done wait();

 private:
  struct UnderWay {
    std::uint64_t step = 0;
    bool are_sums = false;
  };
  void enqueue_update(std::uint64_t step, const StepStatistics& statistics, float learning_rate);
  Done take();

  opencl::Device& device_;
  Plan& plan_;
  LossScale* scale_;
  plan::StepRecords records_;
  std::deque<UnderWay> under_way_;  // oldest first
  std::size_t unsent_ = 0;          // records
  std::size_t ahead_ = 2;           // most steps under way
  double step_s_ = 0;               // one step, in the mean over the latest ones; 0: unknown
  Stopwatch since_done_;
};

}  // namespace dovetail
