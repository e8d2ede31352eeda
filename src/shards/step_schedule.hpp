// Which samples of an epoch a training step uses, and for what.
#pragma once

#include <cstdint>

#include "shards/share.hpp"

namespace dovetail {

/// Each step takes the next `pool + contributed` positions of the epoch's order. GPU ranks train on
/// `batch` of the pool (all of it, where no samples are selected); FPGA ranks compute gradients of
/// the `contributed` ones behind it. The epoch's last step has what is left. A function of its
/// members alone: every rank comes to the same schedule.
struct StepSchedule {
  std::uint64_t samples = 0;      // of the train split
  std::uint64_t pool = 1;         // candidates a step
  std::uint64_t batch = 1;        // of them, what the GPU ranks train on
  std::uint64_t contributed = 0;  // samples a step whose gradients FPGA ranks contribute

  /// @param global_batch samples of one update over all ranks.
  /// @param share of them that FPGA ranks contribute, in [0, 1).
  /// @param keep how much of the pool the GPU ranks train on, in (0, 1].
  static StepSchedule make(std::uint64_t samples, std::uint64_t global_batch, double share,
                           double keep);

  /// Positions of one step within its epoch. `keep` ≤ pool.count.
  struct Step {
    std::uint64_t epoch = 0;
    Share pool, contributed;
    std::uint64_t keep = 0;
    /// Pool and contributed samples together: what the GPU ranks train on alone.
    Share all() const { return {pool.begin, pool.count + contributed.count}; }
  };

  std::uint64_t steps_per_epoch() const;
  /// @param step counts from the start of the training.
  Step at(std::uint64_t step) const;
};

/// When weights go out to the FPGA ranks for a boost.
struct BoostTiming {
  std::uint64_t first_step = 0;  // that this job trains
  std::uint64_t last_step = 0;   // the one behind the last
  std::uint64_t staleness = 0;   // weights are published every staleness + 1 steps
  bool wait = false;             // the GPU ranks wait for scores and gradients
  /// Steps between a choice of samples and the step that uses it, so that they can be read ahead.
  std::uint64_t lookahead() const { return wait ? 0 : 3; }

  bool publishes_before(std::uint64_t step) const {
    return step == first_step || step % (staleness + 1) == 0;
  }
  /// The step before which the next weights after those of `version` go out.
  std::uint64_t next_publication(std::uint64_t version) const {
    return (version / (staleness + 1) + 1) * (staleness + 1);
  }
};

}  // namespace dovetail
