// The lead GPU rank's side of a boost: adds the gradients that FPGA ranks contribute to its own,
// ahead of the all-reduce.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "plan/gradient_exchange.hpp"
#include "plan/plan.hpp"
#include "shards/shard_reader.hpp"
#include "shards/step_schedule.hpp"
#include "train/boost_arrivals.hpp"
#include "train/boost_settings.hpp"
#include "train/boost_weight.hpp"
#include "train/run_log.hpp"

namespace dovetail {

/// Steps between two measurements: the fewest from measure_every on that have no divisor in common
/// with the period of publications. Else only gradients by weights of one age would be measured,
/// the newest, say.
std::uint64_t measurement_interval(const BoostSettings& settings);

/// Since gradients, losses and sample counts all travel as sums in one all-reduce, a contribution
/// that is there counts with its samples, one that is late is simply not among them, and no rank
/// need know of it: the update is the weighted mean over the samples that arrived.
class BoostContribution : public Summand {
 public:
  struct Lead {
    BoostArrivals* arrivals = nullptr;
    BoostCounters* counters = nullptr;
    RunLog* log = nullptr;
    std::function<void()> poll;            // takes in what has arrived
    std::function<std::size_t()> serving;  // FPGA ranks
    std::function<bool()> alone;           // the GPU ranks train on this step's samples themselves
  };

  /// @param samples a reader of the train split of its own: what is measured is read again.
  BoostContribution(Plan& plan, ShardReader samples, const StepSchedule& schedule,
                    const BoostTiming& timing, const BoostSettings& settings, Lead lead);

  /// Whether what arrives for `step` is to be compared with float32 gradients, for which the whole
  /// reduction must be mapped: add_to. Otherwise it may be added bucket by bucket: of.
  bool measures(std::uint64_t step) const {
    return step >= next_measurement_ && lead_.serving() > 0;
  }
  /// Adds to this rank's mapped reduction what has arrived for `step`; with BoostTiming::wait after
  /// waiting for all of it. On measured steps it unmaps the reduction, computes the contributed
  /// samples' gradients in float32, and maps it again as it was.
  void add_to(std::optional<opencl::Mapping>& reduction, std::uint64_t step);
  Summand& of(std::uint64_t step);

  bool has_come() override;
  /// Throws quant::RangeError where what has come is not finite.
  void take() override;
  void add(const plan::Bucket& bucket, std::span<float> reduction) override;

  const BoostWeight& weight() const { return weight_; }
  /// What FPGA ranks have contributed so far, in words, for the line that a training ends with;
  /// empty where that is nothing.
  std::string so_far() const;

 private:
  struct Part {
    BoostArrivals::Gradients gradients;
    std::vector<float> in_order;  // as Plan::in_reduction_order
  };
  void expect_finite(const BoostArrivals::Gradients& part) const;
  std::string weight_text() const;
  void measure(std::optional<opencl::Mapping>& reduction);
  /// Sum of the parts' samples in float32, with the present weights.
  std::vector<float> reference();

  Plan& plan_;
  ShardReader samples_;
  StepSchedule schedule_;
  BoostTiming timing_;
  BoostSettings settings_;
  Lead lead_;
  BoostWeight weight_;
  std::uint64_t next_measurement_ = 0;
  std::uint64_t step_ = 0;   // that is under way
  std::vector<Part> parts_;  // of it, once taken
};

}  // namespace dovetail
