// Which samples this GPU rank trains on in each step, read ahead.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "shards/prefetcher.hpp"
#include "shards/step_schedule.hpp"

namespace dovetail {

/// While it lives nothing else reads from its reader, unless the split is in memory.
class SampleFeed {
 public:
  virtual ~SampleFeed() = default;

  /// This rank's samples of `step`, in `batch`, or of several steps from this one on, where the
  /// batch's range says so. Steps are asked for in ascending order, by all GPU ranks alike. False:
  /// there is no such step.
  virtual bool next(std::uint64_t step, Batch& batch) = 0;
  /// Of the losses of the latest batch's samples; empty: all 1.
  virtual std::span<const float> weights() const { return {}; }
  /// Which of this rank's samples of a step, so many, are computed together: one number a pass.
  virtual std::vector<std::size_t> passes(std::uint64_t, std::size_t samples) const {
    return {samples};
  }
  /// Whether the latest batch has the samples that FPGA ranks should have contributed.
  virtual bool includes_contributed() const { return false; }
  /// Numbers the latest batch's first sample within the training: it picks dropout masks.
  virtual std::uint64_t first_sample() const = 0;
  /// Other shares from now on, where `step` is the next one to be asked for; on all GPU ranks
  /// alike. Steps that are decided already may keep the old ones.
  virtual void rebalance(std::uint64_t step, const Shares& shares) = 0;
};

/// Every sample once an epoch, in the epoch's order.
class OrderedFeed : public SampleFeed {
 public:
  /// Steps [first, last). `chunks`: a power of two that each step's samples are cut into, whatever
  /// the number of ranks; each rank takes whole ones (chunks_of), whatever the shares. 0: no such
  /// cuts. Without `images`, labels and numbers are read. `memory`: of the batches, as
  /// Plan::sample_memory. `together`: a batch has so many steps of one epoch, or fewer; only for
  /// one rank. 0: each is one step's.
  OrderedFeed(const Communicator& ranks, ShardReader& reader, const StepSchedule& schedule,
              const Shares& shares, std::uint64_t first, std::uint64_t last, std::size_t chunks = 0,
              bool images = true, HostMemory memory = nullptr, std::size_t together = 0);
  bool next(std::uint64_t step, Batch& batch) override;
  std::vector<std::size_t> passes(std::uint64_t step, std::size_t samples) const override;
  std::uint64_t first_sample() const override { return first_sample_; }
  void rebalance(std::uint64_t step, const Shares& shares) override;

 private:
  ShardReader& reader_;
  StepSchedule schedule_;
  std::size_t rank_;
  std::uint64_t last_;
  std::size_t chunks_;
  bool images_;
  HostMemory memory_;
  int readers_;
  std::size_t together_;
  Share mine_;  // of the chunks
  std::uint64_t first_sample_ = 0;
  std::optional<Prefetcher> prefetcher_;  // last
};

}  // namespace dovetail
