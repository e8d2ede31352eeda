// Which ranges of the gradients are summed over the ranks together, in the order in which the
// backward pass finishes them.
#pragma once

#include <cstddef>
#include <vector>

namespace dovetail::plan {

/// Floats [begin, end) of the reduction, final when the backward pass of operation `after` is
/// enqueued.
struct Bucket {
  std::size_t begin = 0, end = 0;
  std::size_t after = 0;
  std::size_t size() const { return end - begin; }
  bool operator==(const Bucket&) const = default;
};

/// Cuts [0, elements) from its end on.
/// @param finished by operation: everything from this float on is final when its backward pass is
/// done; ascending.
/// @param wanted floats of a bucket: smaller ranges wait for others; larger ones are cut into equal
/// parts that differ by at most `alignment` floats. What the first operation alone finishes goes
/// last by itself, unless less than a quarter of this would go before it. 0: one bucket for all.
std::vector<Bucket> make_buckets(const std::vector<std::size_t>& finished, std::size_t elements,
                                 std::size_t wanted, std::size_t alignment);

}  // namespace dovetail::plan
