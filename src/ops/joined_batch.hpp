// Samples of several passes in one launch.
#pragma once

namespace dovetail {

/// `passes` times `each` samples, one pass behind the other. What is summed over the samples is
/// summed for each pass as if it were alone, then over the passes by pairs of neighbours: the same
/// bits as from launches of one pass each whose sums Accumulate adds. `passes` is a power of two up
/// to 1,024.
struct JoinedBatch {
  JoinedBatch(int each_pass, int count = 1) : each(each_pass), passes(count) {}
  int each, passes;
  int samples() const { return each * passes; }
};

}  // namespace dovetail
