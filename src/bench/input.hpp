// The batches that benchmarks of training steps train on.
#pragma once

#include <cstdint>
#include <optional>

#include "bench/training.hpp"
#include "comm/communicator.hpp"
#include "plan/held_set.hpp"
#include "shards/prefetcher.hpp"

namespace dovetail::bench {

/// This rank's: a data set's through the prefetcher, or one of random images again and again.
class Input {
 public:
  /// Uploads the images where options.on_device.
  Input(const Communicator& ranks, Plan& plan, const StepOptions& options);

  /// Swaps the next one into `batch`, which is empty or was filled here before.
  void next(Batch& batch);
  /// Says which samples are the batch's.
  void find(const Batch& batch, StepSamples& samples);

 private:
  void read_data(const Communicator& ranks, Plan& plan, const StepOptions& options);
  void make_random(const Communicator& ranks, Plan& plan, const StepOptions& options);

  Batch random_;
  std::optional<ShardReader> reader_;
  std::optional<HeldSet> held_;
  std::optional<Prefetcher> prefetcher_;
};

}  // namespace dovetail::bench
