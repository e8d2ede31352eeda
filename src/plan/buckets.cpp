// Walks the operations backwards.
#include "plan/buckets.hpp"

#include <algorithm>

namespace dovetail::plan {
namespace {

/// Appends [begin, end), cut from its end on into parts of about `wanted` floats.
void append(std::vector<Bucket>& buckets, std::size_t begin, std::size_t end, std::size_t after,
            std::size_t wanted, std::size_t alignment) {
  const std::size_t parts = wanted > 0 ? std::max<std::size_t>((end - begin) / wanted, 1) : 1;
  std::size_t last = end;
  for (std::size_t part = parts; part-- > 0;) {
    const std::size_t cut = begin + (end - begin) * part / parts / alignment * alignment;
    const std::size_t first = part == 0 ? begin : cut;
    if (first < last) buckets.push_back({first, last, after});
    last = first;
  }
}

}  // namespace

std::vector<Bucket> make_buckets(const std::vector<std::size_t>& finished, std::size_t elements,
                                 std::size_t wanted, std::size_t alignment) {
  std::vector<Bucket> buckets;
  std::size_t end = elements;
  for (std::size_t operation = finished.size(); operation-- > 0;) {
    // Nothing hides the way of what the last backward pass, the first operation's, finishes: what
    // waits for it and was final before goes out before, where that is worth a bucket.
    if (operation == 0 && finished.size() > 1) {
      const std::size_t early = std::min(finished[1], end);
      if (wanted > 0 && 4 * (end - early) >= wanted) {
        append(buckets, early, end, 1, wanted, alignment);
        end = early;
      }
    }
    const std::size_t begin = operation == 0 ? 0 : finished[operation];
    const bool enough = wanted > 0 && end - begin >= wanted;
    if (begin == end || (operation > 0 && !enough)) continue;
    append(buckets, begin, end, operation, wanted, alignment);
    end = begin;
  }
  return buckets;
}

}  // namespace dovetail::plan
