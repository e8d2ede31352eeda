// The batches that benchmarks of training steps train on.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "bench/training.hpp"
#include "comm/communicator.hpp"
#include "plan/batches_ahead.hpp"
#include "plan/held_set.hpp"
#include "shards/prefetcher.hpp"

namespace dovetail::bench {

/// This rank's: a data set's through the prefetcher, or one of random images again and again.
class Input {
 public:
  /// Uploads the images where options.on_device.
  Input(const Communicator& ranks, Plan& plan, const StepOptions& options);

  /// The next step's samples.
  StepSamples next() { return batches_->next().samples; }
  /// Steps whose samples go to the device in one copy; 0: each brings its own.
  std::size_t together() const { return together_; }
  /// The oldest step is done.
  void drop_oldest() { batches_->drop_oldest(); }
  /// How fast samples are read while nothing else is done, for about `seconds`; nothing where none
  /// are. All steps so far are done.
  std::optional<Reading> read_alone(double seconds);

 private:
  void read_data(const Communicator& ranks, Plan& plan, const StepOptions& options);
  /// Steps that are sent together, and room for them; 0: none are.
  std::size_t steps_together(const Communicator& ranks, Plan& plan, const StepOptions& options,
                             std::size_t most);
  bool read(Batch& batch);
  void find(const Batch& batch, StepSamples& samples);
  void make_random(const Communicator& ranks, Plan& plan, const StepOptions& options);
  /// Takes the memory of all batches of steps that are sent together: while a driver pins some,
  /// whoever enqueues may have to wait.
  void take_memory();

  std::size_t together_ = 0;
  Batch random_;
  std::vector<Batch> spare_;
  std::optional<ShardReader> reader_;
  std::optional<HeldSet> held_;
  std::optional<Prefetcher> prefetcher_;
  std::optional<BatchesAhead> batches_;
};

}  // namespace dovetail::bench
