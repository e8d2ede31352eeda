// The order in which an epoch visits the samples: the same on every rank, machine and compiler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dovetail {

/// A permutation of all samples, a function of these four alone. No number of ranks is among them:
/// ranks cut shares out of one order, so the same steps see the same samples however many ranks
/// there are.
struct EpochOrderOptions {
  std::size_t samples = 0;
  std::uint64_t seed = 0;
  std::uint64_t epoch = 0;
  /// Slabs (of slab_samples samples) that are shuffled together; 0: all.
  std::size_t window_slabs = 0;
};

/// Shuffles the whole data set at once where the window holds it all. Otherwise in two levels, so
/// that only a window of it must be in memory: the slabs are permuted, then the samples within each
/// run of window_slabs slabs. Costs 4 bytes a sample. Method: Fisher and Yates, driven by
/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
class EpochOrder {
 public:
  explicit EpochOrder(const EpochOrderOptions& options);

  std::size_t size() const { return order_.size(); }
  /// The sample at a position of the epoch.
  std::size_t operator[](std::size_t position) const { return order_[position]; }

 private:
  std::vector<std::uint32_t> order_;
};

}  // namespace dovetail
