// Sums a plan's gradients over the ranks while its backward pass runs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "comm/all_reduce.hpp"
#include "plan/communication_time.hpp"
#include "plan/plan.hpp"
#include "support/clock.hpp"

namespace dovetail {

/// What this rank adds to its own sums before the other ranks get them, and which may be there
/// before its backward pass is done, or later.
class Summand {
 public:
  virtual ~Summand() = default;
  /// Whether all of it is there, or nothing is expected; never waits.
  virtual bool has_come() = 0;
  /// From now on it is what is there; may wait for more. Once a step.
  virtual void take() = 0;
  /// Adds its part to a bucket of the reduction; after take().
  virtual void add(const plan::Bucket& bucket, std::span<float> reduction) = 0;
};

class GradientExchange {
 public:
  /// The parts of an all-reduce for a plan with such buckets: only gradients may be compressed.
  static std::vector<ReductionPart> parts(const std::vector<plan::Bucket>& buckets);

  /// `reduce` has the parts of the plan's buckets, and its memory is the plan's
  /// PlanOptions::reduction_memory. `overlap`: parts go out as they are finished; otherwise when
  /// all are. The sums have the same bits.
  GradientExchange(Plan& plan, AllReduce& reduce, bool overlap);

  struct Timing {
    double compute_s = 0;  // until the backward pass was done
    double summand_s = 0;  // from then on, until what the rank adds was added
    double reduce_s = 0;   // from then on, until the sums were in the host
  };
  /// Looked at bucket by bucket as they come, which hides most of it behind the backward pass.
  struct Sums {
    std::span<float> reduction;  // the whole one; give_back makes an end of it
    bool gradients_are_finite = true;
    bool rest_is_finite = true;  // losses, counts, batch statistics
    bool all_finite() const { return gradients_are_finite && rest_is_finite; }
  };
  /// Sums what Plan::enqueue_step has handed over, with this rank's votes. Sums return to the
  /// device as they come. `step` is for the record of what is waited for. `summand`: buckets are
  /// held back until it has come, at the longest until the backward pass is done.
  Sums sum(std::uint64_t step, const StepVotes& votes, Timing& timing, Summand* summand = nullptr);

  /// The same in two steps, for those who change the reduction in between: it was enqueued without
  /// being handed over. They may give the mapping up and make it again.
  std::optional<opencl::Mapping>& map();
  Sums sum_mapped(std::uint64_t step, const StepVotes& votes, Timing& timing);

  /// The device has its reduction back: the update may be enqueued.
  void give_back();

  /// So far. On a device that is no CPU a bucket is under way from when it begins to leave the
  /// device, or later if the rank holds it back, until its sum is there again, by the device's
  /// clock. On a CPU device, whose memory is the ranks': from when the rank hands it to the
  /// all-reduce until its sum is there. Waiting for other ranks counts. Not within a round.
  CommunicationTime time();

 private:
  /// Until the bucket is in the host; meanwhile other buckets move on.
  void await(std::size_t bucket);
  /// Hands buckets up to `end` to the all-reduce.
  void start(std::size_t end);
  /// Moves what is under way; true when nothing is.
  bool settled();
  /// Takes care of sums that have come: looks at them, and where the host keeps what it read begins
  /// their way back. The first bucket whose sum has not.
  std::optional<std::size_t> note_sums();
  /// Counts the newest round's time by the device's clock, where it is known.
  void note_trips();

  Plan& plan_;
  AllReduce& reduce_;
  bool overlap_;
  CommunicationTime time_;
  std::optional<opencl::Mapping> mapping_;

  // ---- of a round
  struct Under {
    Stopwatch seen{};   // since it is in the host
    double held_s = 0;  // from then on, until it was started
    bool is_noted = false, is_returned = false;
  };
  std::vector<Under> buckets_;
  std::size_t started_ = 0;  // buckets
  std::size_t early_ = 0;    // of these, before the backward pass was done
  Sums sums_;
  bool is_busy_ = false;  // buckets are under way
  Stopwatch busy_;        // since then
  double hidden_s_ = 0;   // in which that was so, before the backward pass was done
  double rest_s_ = 0;     // of the last bucket's sum
};

}  // namespace dovetail
