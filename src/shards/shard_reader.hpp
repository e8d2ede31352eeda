// Reads batches of one split of a data set, in the shuffled order of an epoch or as they lie.
//
// One thread at a time, unless the split is in memory: otherwise give a reader to one Prefetcher,
// or use it directly, never both. Nothing in the folder is trusted: a shard that is missing, empty,
// truncated, of another shape than the manifest says, with labels out of range or with flipped bits
// throws Error with the file's name and the remedy.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shards/epoch_order.hpp"
#include "shards/manifest.hpp"
#include "support/host_memory.hpp"

namespace dovetail {

/// `count` positions from `begin` of an epoch's order, or, with in_order as the epoch, of the data
/// set as it lies. With `picks`, which are `count` then, not the first ones but those at begin +
/// picks[i]; one may be picked more than once. Without `images`, labels and numbers are read
/// instead. `step` says that they are for several steps.
struct Range {
  static constexpr std::int64_t in_order = -1;
  std::int64_t epoch = in_order;
  std::size_t begin = 0;
  std::size_t count = 0;
  std::vector<std::uint32_t> picks{};
  bool images = true;
  std::size_t step = 0;  // samples of a step, fewer maybe of the last one; 0: all are one step's
  bool operator==(const Range&) const = default;
};

struct Batch {
  Range range;                       // what was asked for
  HostVector<std::uint8_t> images;   // [count, channels, height, width], or none
  HostVector<std::int32_t> labels;   // [count]
  HostVector<std::int32_t> numbers;  // [count]: where they lie in the split; without images

  std::size_t size() const { return labels.size(); }
  /// An empty one that will take its memory from there.
  static Batch in(const HostMemory& memory) {
    return {.range = {},
            .images = HostVector<std::uint8_t>(memory),
            .labels = HostVector<std::int32_t>(memory),
            .numbers = HostVector<std::int32_t>(memory)};
  }
  bool is_in(const HostMemory& memory) const { return images.get_allocator().memory() == memory; }
};

struct ReaderOptions {
  std::uint64_t seed = 0;
  /// A split whose images fit is held in memory whole, and shuffled whole. A larger one is read
  /// slab by slab, and shuffled in windows (see EpochOrder) that fit. So this, too, decides on the
  /// order of a large data set.
  std::size_t memory_bytes = std::size_t{512} << 20;
  /// Slabs shuffled together; 0: all of a split in memory, else as many as memory_bytes holds.
  std::size_t window_slabs = 0;
};

/// Where the samples of a split come from: memory or files.
class SampleStore;

class ShardReader {
 public:
  /// Checks every shard's extents and labels. A split that fits memory_bytes is read at once and
  /// its SHA-256 checked; of a larger one each slab is checked against HDF5's own checksum
  /// (fletcher32) whenever it is read.
  ShardReader(const std::filesystem::path& folder, const std::string& split,
              const ReaderOptions& options = {});
  ~ShardReader();
  ShardReader(ShardReader&&) noexcept;
  ShardReader& operator=(ShardReader&&) noexcept;

  const Manifest& manifest() const { return manifest_; }
  std::size_t samples() const { return samples_; }
  bool in_memory() const { return in_memory_; }
  std::size_t window_slabs() const { return window_slabs_; }

  /// Fills the batch, reusing its storage; from several threads at once where in_memory(). Throws
  /// Error for positions beyond the split's end, or for another number of picks than `count`.
  void read(const Range& range, Batch& batch);

 private:
  Manifest manifest_;
  std::size_t samples_ = 0;
  std::uint64_t seed_ = 0;
  bool in_memory_ = false;
  std::size_t window_slabs_ = 0;
  std::unique_ptr<SampleStore> store_;
  struct Orders;
  std::shared_ptr<const EpochOrder> order_of(std::int64_t epoch);
  std::unique_ptr<Orders> orders_;  // of the epochs that were read last
};

}  // namespace dovetail
