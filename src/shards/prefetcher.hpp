// Reads the batches to come in threads of its own, ahead of the one that trains.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "shards/shard_reader.hpp"

namespace dovetail {

/// What step 0, 1, 2 … reads; nothing ends the schedule. Called in the prefetcher's threads, one
/// at a time, once a step, in order.
using Schedule = std::function<std::optional<Range>(std::size_t step)>;

/// While it lives nothing else reads from the reader, unless its split is in memory. `next` is for
/// one thread.
///
/// When as many batches wait as may, its threads sleep until half of them are gone. Then one of
/// them reads that half at once: where short steps keep all cores busy, it is seldom woken, and
/// what delays it delays no step.
///
/// One thread gathers some 6 GB/s from all over the memory, which a GPU's short steps may outrun.
/// So each step that finds less than half wakes another thread, and one that has to wait all of
/// them.
class Prefetcher {
 public:
  /// Batches that may wait, read, for `next`: as many as hold 4 MiB of images, 2 at least and 16 at
  /// most. Where several threads read, 64 MiB and 64, and twice that from when one `next` in nine
  /// had to wait: so more of the threads find something to read.
  static constexpr std::size_t by_size = 0;
  /// Threads for a device whose steps are short: half of this process's share of the cores, 8 at
  /// most. `ranks`: on this host.
  static int threads_for_short_steps(int ranks);

  /// @param ahead batches that may wait, read, for `next`.
  /// @param memory of the batches, taken in the prefetcher's threads; by default the host's heap.
  /// @param threads that read, where the split is in memory; else one does.
  Prefetcher(ShardReader& reader, Schedule schedule, std::size_t ahead = by_size,
             HostMemory memory = nullptr, int threads = 1);
  /// Reads what `request` asks for, in that order; its schedule has no end.
  explicit Prefetcher(ShardReader& reader, std::size_t ahead = 2, HostMemory memory = nullptr);
  /// Stops after the batch being read, whether or not all were fetched.
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// Asks for one more batch; never waits. Only without a schedule.
  void request(const Range& range);

  /// Waits for the next batch and swaps it into `batch`, whose old storage, if it came from here,
  /// is used again for a later one: what was enqueued with it must be done. Returns false at the
  /// end of the schedule. Rethrows what reading threw, after the batches read before it.
  bool next(Batch& batch);

  /// Batches that may wait; by_size: known when the first has been read.
  std::size_t most_waiting();
  /// For who took batches as fast as they came and takes them at another pace from now on: how many
  /// may wait is as at first.
  void forget_waits();

 private:
  void read_ahead();
  /// Sleeps while enough is read.
  void await_room();
  /// The step to read next, with a batch for it; nullopt when another thread has taken it, when
  /// stopping, or when all is read.
  std::optional<std::size_t> begin_step(Batch& batch);
  /// Takes what was read of a step; whether `next` may be waiting for it.
  bool add(std::size_t step, Batch& batch);
  bool ends() const { return stopping_ || end_.has_value(); }
  /// No steps from this one on, or, where it was none yet, after those that are being read.
  void end_at(std::optional<std::size_t> step, std::exception_ptr failure);
  /// The next range that was requested; nullopt when stopping.
  std::optional<Range> requested();

  /// Where the number of batches is by their size.
  void choose_ahead();
  /// One more `next`.
  void count_wait(bool has_waited);

  ShardReader& reader_;
  Schedule schedule_;
  const bool by_size_;
  const HostMemory memory_;
  const std::size_t most_bytes_, most_batches_;  // that may wait, at first
  const std::size_t most_growth_;

  std::mutex turn_;          // of the thread that asks the schedule
  std::size_t largest_ = 0;  // samples that it has asked for at once; guarded by turn_
  std::mutex mutex_;         // guards everything below but the threads; taken within turn_
  std::size_t ahead_;
  std::size_t batch_bytes_ = 0;                     // of the latest one's images
  std::size_t growth_ = 1;                          // of what may wait by size
  std::size_t waits_ = 0;                           // of late, weighted
  std::condition_variable room_, arrived_, asked_;  // for readers, for next, for requested
  std::map<std::size_t, Batch> ready_;              // by step
  std::size_t next_step_ = 0;                       // to be asked for by `next`
  std::size_t begun_ = 0;           // steps: those below are ready, being read, or fetched
  std::optional<std::size_t> end_;  // the first step that there is not
  std::exception_ptr failure_;      // why
  std::deque<Batch> spare_;         // storage to use again
  std::deque<Range> requests_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;  // last: start when all else is there
};

}  // namespace dovetail
