// Which part of a global batch, or of a whole split, is one rank's.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace dovetail {

/// Positions [begin, begin + count).
struct Share {
  std::size_t begin = 0;
  std::size_t count = 0;
  bool operator==(const Share&) const = default;
};

/// The rank's part of `count` samples. The parts of all ranks follow one another, cover everything
/// once, and differ by at most one sample. Throws Error unless rank < ranks.
Share share(std::size_t count, std::size_t rank, std::size_t ranks);

/// The same in proportion to one weight a rank (measured speeds, say), each within one sample of
/// its exact proportion. Throws Error where a weight is negative or not finite, or all are zero.
Share share(std::size_t count, std::size_t rank, std::span<const double> weights);

/// Chunks of a global batch that are one rank's, where 2^k chunks go to at most as many ranks: the
/// first ⌈ranks / 2⌉ ranks get the first half of them, by this same law. So each rank has a whole
/// branch of the tree that comm's tree_sum adds the ranks in, and the sum over all chunks does not
/// depend on the number of ranks. Throws Error where there are more ranks than chunks.
Share chunks_of(std::size_t chunks, std::size_t rank, std::size_t ranks);

/// How any number of samples goes to the ranks: evenly, or in proportion to one weight a rank.
class Shares {
 public:
  /// Even.
  explicit Shares(std::size_t ranks) : ranks_(ranks) {}
  /// Throws Error for weights that share() refuses.
  explicit Shares(std::vector<double> weights);

  std::size_t ranks() const { return ranks_; }
  bool even() const { return weights_.empty(); }
  /// The rank's part of `count` samples, by share().
  Share of(std::size_t count, std::size_t rank) const;
  /// The most that the rank gets of 0 to `most` samples.
  std::size_t largest(std::size_t most, std::size_t rank) const;
  bool operator==(const Shares&) const = default;

 private:
  std::size_t ranks_;
  std::vector<double> weights_;  // none: even
};

}  // namespace dovetail
