// Who shares memory with whom, and which slice of each part a rank sums.
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "comm/all_reduce_state.hpp"
#include "comm/workers.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr std::size_t page = 4096;

std::size_t pages(std::size_t bytes) {
  return (bytes + page - 1) / page * page;
}

/// Whether tree_sum over all ranks is tree_sum within groups of equal size, then over the groups.
bool tree_fits(const std::vector<int>& group_of) {
  if (std::count(group_of.begin(), group_of.end(), group_of.front()) ==
      static_cast<std::ptrdiff_t>(group_of.size()))
    return true;
  const std::size_t size =
      static_cast<std::size_t>(std::count(group_of.begin(), group_of.end(), group_of.front()));
  if (!std::has_single_bit(size) || group_of.size() % size != 0) return false;
  for (std::size_t rank = 0; rank < group_of.size(); ++rank) {
    if (group_of[rank] != static_cast<int>(rank / size)) return false;
  }
  const std::size_t groups = group_of.size() / size;
  return size == 1 || std::has_single_bit(groups);
}

std::vector<int> groups_of(const Communicator& ranks, const AllReduceOptions& options) {
  std::vector<int> group_of;
  std::vector<std::string> known;
  for (std::size_t rank = 0; rank < ranks.hosts().size(); ++rank) {
    if (options.ranks_per_group) {
      group_of.push_back(static_cast<int>(rank) / *options.ranks_per_group);
      continue;
    }
    const auto at = std::find(known.begin(), known.end(), ranks.hosts()[rank]);
    group_of.push_back(static_cast<int>(at - known.begin()));
    if (at == known.end()) known.push_back(ranks.hosts()[rank]);
  }
  return group_of;
}

std::vector<int> alone(std::size_t ranks) {
  std::vector<int> group_of(ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) group_of[rank] = static_cast<int>(rank);
  return group_of;
}

}  // namespace

AllReduce::AllReduce(const Communicator& ranks, std::vector<ReductionPart> parts,
                     const AllReduceOptions& options)
    : layout_(std::make_unique<Layout>(ranks)),
      compression_(options.compression),
      workers_(std::make_unique<Workers>(options.threads)) {
  for (const ReductionPart& part : parts) {
    parts_.push_back({.of = part,
                      .number = parts_.size(),
                      .compression = part.may_compress ? compression_ : Compression::none});
    layout_->elements = std::max(layout_->elements, part.begin + part.count);
  }
  // Two counters a part: of rounds that are ready, and of those that are summed.
  layout_->flag_bytes = pages(parts_.size() * 2 * line);
  make_groups(options);
  make_slices(options.exchange);
}

void AllReduce::make_groups(const AllReduceOptions& options) {
  const Communicator& ranks = layout_->ranks;
  std::vector<int> group_of = groups_of(ranks, options);
  if (options.fixed_tree && !tree_fits(group_of)) group_of = alone(group_of.size());
  const auto split = [&] {
    layout_->group = ranks.split(group_of[static_cast<std::size_t>(ranks.rank())], ranks.rank());
    layout_->groups = *std::max_element(group_of.begin(), group_of.end()) + 1;
  };
  split();
  std::int32_t failed = 0;
  try {
    make_memory(layout_->elements);
  } catch (const Error& failure) {
    failed = 1;
    if (layout_->group->is_lead()) {
      log::warn_of_host(fmt::format("its ranks share no memory, gradients travel as messages: {}",
                                    failure.what()));
    }
  }
  if (ranks.all_reduce_max(failed) > 0) {
    window_.reset();
    group_of = alone(group_of.size());
    split();
    make_memory(layout_->elements);
  }
  std::size_t least = group_of.size();
  for (const int group : group_of) {
    least = std::min(least,
                     static_cast<std::size_t>(std::count(group_of.begin(), group_of.end(), group)));
  }
  layout_->summing = least;
  layout_->across =
      ranks.split(layout_->sums() ? std::optional(layout_->group->rank()) : std::nullopt,
                  group_of[static_cast<std::size_t>(ranks.rank())]);
}

void AllReduce::make_memory(std::size_t elements) {
  const std::size_t bytes = pages(elements * sizeof(float));
  std::byte* values = nullptr;
  if (layout_->locals() > 1) {
    window_ = std::make_unique<SharedWindow>(*layout_->group, layout_->flag_bytes + bytes);
    values = window_->segment(layout_->group->rank()).data() + layout_->flag_bytes;
  } else {
    own_memory_ = {static_cast<float*>(std::aligned_alloc(page, std::max(bytes, page))), std::free};
    if (!own_memory_) throw Error(fmt::format("no memory for {} bytes of gradients", bytes));
    values = reinterpret_cast<std::byte*>(own_memory_.get());
    std::memset(values, 0, bytes);
  }
  memory_ = {reinterpret_cast<float*>(values), elements};
}

void AllReduce::make_slices(Exchange exchange) {
  const Layout& layout = *layout_;
  const auto groups = static_cast<std::size_t>(layout.groups);
  for (Part& part : parts_) {
    if (!layout.sums()) continue;
    part.slice =
        cut_at_lines(Part::Span{part.of.begin, part.of.count}, layout.local(), layout.summing);
    if (groups == 1) continue;
    const Exchange chosen = exchange == Exchange::automatic
                                ? exchange_for(groups, part.slice.count * sizeof(float))
                                : exchange;
    if (part.compression == Compression::none && chosen == Exchange::halving) {
      part.halving = halving_rounds(part.slice, layout.mine(), groups);
      for (const HalvingRound& round : part.halving) {
        if (round.adds) part.arriving.resize(std::max(part.arriving.size(), round.receives->count));
      }
      continue;
    }
    for (std::size_t group = 0; group < groups; ++group)
      part.pieces.push_back(cut_at_lines(part.slice, group, groups));
    part.summands.resize(groups);
    const bool is_coded = part.compression != Compression::none;
    if (is_coded) {
      part.outgoing.resize(groups);
      part.incoming.resize(groups);
    }
    for (std::size_t group = 0; group < groups; ++group) {
      const std::size_t theirs = part.pieces[group].count, mine = part.pieces[layout.mine()].count;
      part.summands[group].resize(mine);
      if (!is_coded) continue;
      part.outgoing[group].resize(encoded_bytes(part.compression, theirs));
      part.incoming[group].resize(encoded_bytes(part.compression, std::max(theirs, mine)));
    }
  }
  if (compression_ != Compression::none && groups > 1) residual_.assign(layout.elements, 0.0f);
}

}  // namespace dovetail
