// Who sends what to whom where many groups sum a slice by Exchange::halving.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace dovetail {

struct ElementSpan {
  std::size_t begin = 0, count = 0;
};

/// Of Exchange::halving: a message each way, or one way, with one other group. The first half of
/// all rounds brings summands, the second half sums.
struct HalvingRound {
  std::size_t partner = 0;
  std::optional<ElementSpan> sends{}, receives{};
  bool adds = false;  // what is received
};

/// What group `mine` of `groups` does in turn to sum a slice by Exchange::halving.
std::vector<HalvingRound> halving_rounds(const ElementSpan& slice, std::size_t mine,
                                         std::size_t groups);

}  // namespace dovetail
