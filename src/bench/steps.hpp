// Training steps as the Trainer makes them, for every benchmark that runs some: input, gradients,
// sums over the ranks, update.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "bench/input.hpp"
#include "bench/training.hpp"
#include "comm/all_reduce.hpp"
#include "comm/communicator.hpp"
#include "model/loss_scale.hpp"
#include "plan/gradient_exchange.hpp"
#include "plan/plan.hpp"
#include "plan/steps_ahead.hpp"

namespace dovetail::bench {

/// By what the host was at; seconds of one step. `step` is all of them.
struct StepParts {
  double step = 0, input = 0, compute = 0, reduce = 0, update = 0;
};

/// Of some samples of steps, each the mean over a few steps that were run back to back.
struct StepTimes {
  std::vector<StepParts> samples;
  /// One of the parts, by sample.
  std::vector<double> of(double StepParts::*part) const;
  double mean(double StepParts::*part) const;
};

class Steps {
 public:
  /// `plan` and `reduce` are of training_plan and make_all_reduce. Every rank makes one.
  Steps(Communicator& ranks, opencl::Device& device, Plan& plan, AllReduce& reduce,
        const StepOptions& options);

  /// Some steps; the slowest rank's mean seconds of one. Collective.
  double warm_up();
  /// So many steps at least, the same number on every rank; before warm_up exactly so many.
  StepTimes run(std::size_t steps);
  /// Whose samples go to the device in one copy; 0: each brings its own.
  std::size_t sent_together() const { return input_.together(); }
  /// Of which the latest step took its samples; none where it brought its own.
  std::optional<std::uint64_t> taken_sending() const { return taken_sending_; }
  /// Input::read_alone, when all steps are done.
  std::optional<Reading> read_alone(double seconds);

  /// One step without sums over the ranks: seconds after which each bucket is in the host, and the
  /// update's.
  std::vector<double> buckets_alone(double& update_s);
  std::vector<std::size_t> bucket_bytes() const;
  /// This rank's, of all steps so far; nothing on one rank.
  CommunicationTime communication() { return exchange_.time(); }

 private:
  StepParts together();
  /// Of a rank alone: enqueued ahead.
  StepParts ahead();
  void catch_up();
  void note_done(const StepsAhead::Done& done);
  StepSamples next_samples();
  void update(double samples);

  Communicator& ranks_;
  opencl::Device& device_;
  Plan& plan_;
  StepOptions options_;
  Input input_;
  GradientExchange exchange_;
  std::optional<LossScale> scale_;   // in fp16
  std::optional<StepsAhead> ahead_;  // on one rank
  std::uint64_t step_ = 0;
  std::size_t group_ = 1;  // steps of a sample
  std::optional<std::uint64_t> taken_sending_;
};

}  // namespace dovetail::bench
