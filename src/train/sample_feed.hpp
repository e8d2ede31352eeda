// Which samples this GPU rank trains on in each step, read ahead.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "comm/communicator.hpp"
#include "shards/prefetcher.hpp"
#include "shards/step_schedule.hpp"

namespace dovetail {

/// Has the reader to itself while it lives.
class SampleFeed {
 public:
  virtual ~SampleFeed() = default;

  /// This rank's samples of `step`, in `batch`. Steps are asked for in ascending order, by all GPU
  /// ranks alike.
  virtual void next(std::uint64_t step, Batch& batch) = 0;
  /// Of the losses of the latest batch's samples; empty: all 1.
  virtual std::span<const float> weights() const { return {}; }
  /// Numbers the latest batch's first sample within the training: it picks dropout masks.
  virtual std::uint64_t first_sample() const = 0;
};

/// Every sample once an epoch, in the epoch's order.
class OrderedFeed : public SampleFeed {
 public:
  /// Steps [first, last).
  OrderedFeed(const Communicator& ranks, ShardReader& reader, const StepSchedule& schedule,
              std::uint64_t first, std::uint64_t last);
  void next(std::uint64_t step, Batch& batch) override;
  std::uint64_t first_sample() const override { return first_sample_; }

 private:
  std::uint64_t samples_;
  std::uint64_t first_sample_ = 0;
  Prefetcher prefetcher_;
};

}  // namespace dovetail
