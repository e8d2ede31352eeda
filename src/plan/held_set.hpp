// A split of a data set that lies on the device whole.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "plan/plan.hpp"
#include "shards/shard_reader.hpp"

namespace dovetail {

/// Its images, and its labels in the order of the epoch at hand, so that steps upload neither. What
/// they still upload: the targets of losses other than the cross-entropy, and the weights of
/// samples.
class HeldSet {
 public:
  /// Uploads the images; `piece_done` is called now and then meanwhile. The reader must be in
  /// memory to be read elsewhere as well; where it is not, steps bring their samples' numbers.
  HeldSet(Plan& plan, ShardReader& reader, const std::function<void()>& piece_done = {});
  /// Waits for the copies of orders, whose host memory goes with it.
  ~HeldSet();
  HeldSet(const HeldSet&) = delete;
  HeldSet& operator=(const HeldSet&) = delete;

  /// Says in `samples` which images are the batch's, which was read without them.
  void find(const Batch& batch, StepSamples& samples);

 private:
  struct Order {
    std::int64_t epoch = -2;  // none
    Batch samples;
    opencl::Mark copied;
  };

  Plan& plan_;
  ShardReader& reader_;
  std::array<Order, 2> orders_;  // one is read while the other may still be copied
  std::size_t newest_ = 0;
};

}  // namespace dovetail
