// Reads the batches to come in a thread of its own, ahead of the one that trains.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "shards/shard_reader.hpp"

namespace dovetail {

/// What step 0, 1, 2 … reads; nothing ends the schedule. Called in the prefetcher's thread, once a
/// step, in order.
using Schedule = std::function<std::optional<Range>(std::size_t step)>;

/// Has the reader to itself while it lives. `next` is for one thread.
///
/// When as many batches wait as may, the thread sleeps until half of them are gone, and then reads
/// that half at once: where short steps keep all cores busy, it is seldom woken, and what delays it
/// delays no step.
class Prefetcher {
 public:
  /// Batches that may wait, read, for `next`: as many as hold 4 MiB of images, 2 at least and 16 at
  /// most.
  static constexpr std::size_t by_size = 0;

  /// @param ahead batches that may wait, read, for `next`.
  /// @param memory of the batches, taken in the prefetcher's thread; by default the host's heap.
  Prefetcher(ShardReader& reader, Schedule schedule, std::size_t ahead = by_size,
             HostMemory memory = nullptr);
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

 private:
  void read_ahead();
  void read_schedule();
  /// The next range that was requested; nullopt when stopping.
  std::optional<Range> requested();

  /// Where the number of batches is by their size: of this one.
  void choose_ahead(const Batch& batch);

  ShardReader& reader_;
  Schedule schedule_;
  const bool by_size_;
  const HostMemory memory_;

  std::mutex mutex_;  // guards everything below but the thread
  std::size_t ahead_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::deque<Batch> spare_;  // storage to use again
  std::deque<Range> requests_;
  std::exception_ptr failure_;
  bool ended_ = false;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace dovetail
