// A split of a data set that lies on the device whole.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <future>

#include "plan/plan.hpp"
#include "shards/shard_reader.hpp"

namespace dovetail {

/// Its images, and its labels in the order of the epoch at hand, so that steps upload neither. What
/// they still upload: the weights of samples. While an epoch is trained on, a thread reads the next
/// one's order.
class HeldSet {
 public:
  /// Uploads the images; `piece_done` is called now and then meanwhile. The reader must be in
  /// memory to be read elsewhere as well; where it is not, steps bring their samples' numbers.
  HeldSet(Plan& plan, ShardReader& reader, const std::function<void()>& piece_done = {});
  /// Waits for the order that is being read, and for the copies of orders, whose host memory goes
  /// with it.
  ~HeldSet();
  HeldSet(const HeldSet&) = delete;
  HeldSet& operator=(const HeldSet&) = delete;

  /// Says in `samples` which images are the batch's, which was read without them. Throws Error
  /// where the order of its epoch could not be read, now or ahead.
  void find(const Batch& batch, StepSamples& samples);

 private:
  static constexpr std::int64_t none = -2;  // no epoch, and not Range::in_order either

  struct Order {
    std::int64_t epoch = none;
    Batch samples;
    opencl::Mark copied;
  };

  /// Makes the epoch's order the device's, and begins to read the next one.
  void hold(std::int64_t epoch);
  /// Reads it into the order that is not in use, whose last copy it waits for.
  void read(std::int64_t epoch);

  Plan& plan_;
  ShardReader& reader_;
  std::size_t samples_;
  std::array<Order, 2> orders_;  // one is in use, and maybe still copied; the other is the next
  std::size_t in_use_ = 0;
  std::int64_t epoch_ = none;  // whose order the device has
  std::int64_t next_ = none;   // whose order is being read, or was
  std::future<void> reading_;  // all of orders_[1 - in_use_] is its thread's until it is waited for
};

}  // namespace dovetail
