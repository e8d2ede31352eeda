// Recursive halving and doubling along the tree of tree_sum.
//
// tree_sum halves the groups again and again. At the depth of floor(log2 groups) each of its
// branches has one group or two; from there upwards two branches are added whose numbers differ in
// one bit, and these are the partners of a round. So the sums are tree_sum's, bit for bit.
#include "comm/halving.hpp"

#include <bit>

#include "comm/all_reduce_state.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

/// Consecutive groups below one place of tree_sum's tree.
struct Branch {
  std::size_t number = 0;  // among those of its depth
  std::size_t first = 0, count = 0;

  /// One of the two that it is the sum of.
  Branch child(bool second) const {
    const std::size_t left = (count + 1) / 2;
    return second ? Branch{2 * number + 1, first + left, count - left}
                  : Branch{2 * number, first, left};
  }
};

Branch branch_of_group(std::size_t group, std::size_t groups, int depth) {
  Branch branch{0, 0, groups};
  for (int level = 0; level < depth; ++level)
    branch = branch.child(group >= branch.child(true).first);
  return branch;
}

Branch numbered_branch(std::size_t number, std::size_t groups, int depth) {
  Branch branch{0, 0, groups};
  for (int level = depth - 1; level >= 0; --level) branch = branch.child((number >> level) & 1);
  return branch;
}

}  // namespace

Exchange parse_exchange(const std::string& name) {
  if (name == "auto") return Exchange::automatic;
  if (name == "direct") return Exchange::direct;
  if (name == "halving") return Exchange::halving;
  throw UsageError(fmt::format("unknown --exchange '{}'", name), "Known: auto, direct, halving");
}

Exchange exchange_for(std::size_t groups, std::size_t bytes) {
  // Fewer have few messages to spare, and rounds wait for each other.
  constexpr std::size_t least_groups = 16;
  // That a link moves while another message is sent: some microseconds at some GB/s.
  constexpr std::size_t bytes_a_message = 16384;
  if (groups < least_groups) return Exchange::direct;
  if (std::has_single_bit(groups)) return Exchange::halving;
  // What is given to a neighbour first travels once more, whole.
  const auto levels = static_cast<std::size_t>(std::bit_width(groups)) - 1;
  return bytes <= bytes_a_message * (groups - 2 - levels) ? Exchange::halving : Exchange::direct;
}

std::vector<HalvingRound> halving_rounds(const ElementSpan& slice, std::size_t mine,
                                         std::size_t groups) {
  const int depth = std::bit_width(groups) - 1;
  const Branch branch = branch_of_group(mine, groups, depth);
  if (mine != branch.first) {
    return {{.partner = branch.first, .sends = slice},
            {.partner = branch.first, .receives = slice}};
  }
  std::vector<HalvingRound> rounds, back;
  if (branch.count > 1) {
    rounds.push_back({.partner = mine + 1, .receives = slice, .adds = true});
    back.push_back({.partner = mine + 1, .sends = slice});
  }
  ElementSpan summed = slice;
  for (int level = 0; level < depth; ++level) {
    const std::size_t bit = std::size_t{1} << level;
    const bool is_second = (branch.number & bit) != 0;
    const std::size_t partner = numbered_branch(branch.number ^ bit, groups, depth).first;
    const ElementSpan kept = cut_at_lines(summed, is_second ? 1 : 0, 2);
    const ElementSpan given = cut_at_lines(summed, is_second ? 0 : 1, 2);
    rounds.push_back({.partner = partner, .sends = given, .receives = kept, .adds = true});
    back.push_back({.partner = partner, .sends = kept, .receives = given});
    summed = kept;
  }
  rounds.insert(rounds.end(), back.rbegin(), back.rend());
  return rounds;
}

}  // namespace dovetail
