// Which coming step an FPGA rank should work for next.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "shards/step_schedule.hpp"

namespace dovetail {

/// Where the GPU ranks wait (BoostTiming::wait), every step is served with the weights that are
/// meant for it: those of version v serve the steps from v up to the next publication.
///
/// Where they don't, the rank works ahead of them with the newest weights that it has. It knows
/// only how far the GPU ranks were a moment ago, and that what it begins now takes time: so it aims
/// `lag` steps beyond the first that could still use the result, and learns the lag: a result that
/// came too late raises it by as much, and `patience` results in time lower it by one.
class StepWindow {
 public:
  /// @param offset a result for step p + offset can still be used when p steps are done.
  StepWindow(const BoostTiming& timing, std::uint64_t offset) : timing_(timing), offset_(offset) {}

  void weights_arrived(std::uint64_t version) {
    version_ = version;
    steps_done(version);
  }
  void steps_done(std::uint64_t steps) { progress_ = std::max(progress_, steps); }
  /// The roster has changed: what was meant for others may now be this rank's.
  void begin_anew() { next_ = progress_; }

  /// Hands out the next step in the window that `is_mine(step)` takes, once, unless begin_anew
  /// comes after it; nullopt until more is known.
  template <typename IsMine>
  std::optional<std::uint64_t> take(const IsMine& is_mine) {
    if (!version_) return std::nullopt;
    const std::uint64_t useful = progress_ + offset_;
    const std::uint64_t begin =
        std::max(next_, timing_.wait ? std::max(*version_, progress_) : useful + lag_);
    const std::uint64_t end =
        std::min(timing_.last_step,
                 timing_.wait ? timing_.next_publication(*version_) : useful + lag_ + ahead);
    for (std::uint64_t step = begin; step < end; ++step) {
      if (!is_mine(step)) continue;
      next_ = step + 1;
      return step;
    }
    return std::nullopt;
  }

  /// The result for `step` is on its way; call after the newest steps_done.
  void finished(std::uint64_t step) {
    const std::uint64_t useful = progress_ + offset_;
    if (step < useful) {
      lag_ = std::min(lag_ + (useful - step), most_lag);
      in_time_ = 0;
    } else if (++in_time_ == patience && lag_ > 0) {
      --lag_;
      in_time_ = 0;
    }
  }

  std::uint64_t lag() const { return lag_; }

 private:
  static constexpr std::uint64_t ahead = 8;  // steps: further, scores would be older than needed
  static constexpr std::uint64_t most_lag = 256;
  static constexpr std::uint64_t patience = 16;

  BoostTiming timing_;
  std::uint64_t offset_;
  std::optional<std::uint64_t> version_;
  std::uint64_t progress_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t lag_ = 0;
  std::uint64_t in_time_ = 0;
};

}  // namespace dovetail
