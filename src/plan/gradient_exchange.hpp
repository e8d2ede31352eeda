// Sums a plan's gradients over the ranks while its backward pass runs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "comm/all_reduce.hpp"
#include "plan/plan.hpp"

namespace dovetail {

/// Of one rank. A part of the reduction is communicated from when the rank hands it to the
/// all-reduce until the sum is there: waiting for other ranks counts.
struct CommunicationTime {
  double total_s = 0;    // while at least one part was under way
  double exposed_s = 0;  // of that, after the rank's own backward pass was done
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
    double reduce_s = 0;   // from then on, until the sums were there
  };
  /// Sums what Plan::enqueue_step has handed over, with this rank's votes. Returns the whole
  /// reduction, which give_back makes an end of. `step` is for the record of what is waited for.
  std::span<float> sum(std::uint64_t step, const StepVotes& votes, Timing& timing);

  /// The same in two steps, for those who change the reduction in between: it was enqueued without
  /// being handed over. They may give the mapping up and make it again.
  std::optional<opencl::Mapping>& map();
  std::span<float> sum_mapped(std::uint64_t step, const StepVotes& votes, Timing& timing);

  /// The device has its reduction back: the update may be enqueued.
  void give_back();

  const CommunicationTime& time() const { return time_; }

 private:
  /// Where the host keeps what it read, sums go back to the device as they come.
  void return_done();

  Plan& plan_;
  AllReduce& reduce_;
  bool overlap_;
  CommunicationTime time_;
  std::size_t started_ = 0;        // buckets
  std::vector<bool> is_returned_;  // by bucket
  std::optional<opencl::Mapping> mapping_;
};

}  // namespace dovetail
