// Sorts the scores and gradients that arrive from the FPGA ranks by the step that they are for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "shards/step_schedule.hpp"
#include "train/report_inbox.hpp"

namespace dovetail {

/// Lives on the lead GPU rank. Steps are asked for in ascending order; what arrives for a step that
/// has been asked for is too late, and dropped.
class BoostArrivals {
 public:
  /// @param parameters of the model: how long a gradient is.
  BoostArrivals(const StepSchedule& schedule, std::uint64_t first_step, std::size_t parameters);

  /// Throws Error for a report that fits neither the schedule nor the model.
  void add(std::vector<ReportInbox::Arrival> arrivals);

  /// `rosters` have gone out to the FPGA ranks: shares of contributed samples are cut anew, and
  /// gradients of shares that were cut before no longer fit.
  void begin_round(std::uint64_t rosters);

  struct Scores {
    std::vector<float> losses;  // of a step's whole pool
    std::uint64_t version = 0;  // oldest weights among them
  };
  bool has_scores(std::uint64_t step) const;
  /// nullopt where a part of the pool has no score. No later call may ask for this step or an
  /// earlier one.
  std::optional<Scores> take_scores(std::uint64_t step);

  struct Gradients {
    Share samples;  // within the step's contributed ones
    quant::Evaluation sums;
    std::vector<float> values;  // sums over the samples, in canonical layouts
  };
  bool has_all_gradients(std::uint64_t step) const;
  /// What is there, by place, no sample twice; the same rule for later calls.
  std::vector<Gradients> take_gradients(std::uint64_t step);

  std::uint64_t late_gradients() const { return late_gradients_; }

 private:
  struct Pool {
    std::vector<float> losses;
    std::vector<bool> known;
    std::uint64_t version = ~std::uint64_t{0};
  };
  void add_scores(const ReportInbox::Arrival& arrival);
  void add_gradients(const ReportInbox::Arrival& arrival);

  StepSchedule schedule_;
  std::size_t parameters_;
  std::map<std::uint64_t, Pool> pools_;
  std::map<std::uint64_t, std::vector<Gradients>> gradients_;
  std::uint64_t first_open_pool_, first_open_step_;  // whose scores, gradients are still welcome
  std::uint64_t round_ = 0;
  std::uint64_t late_gradients_ = 0;
};

}  // namespace dovetail
