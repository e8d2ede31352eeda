// What an AllReduce holds. Only its .cpp files include it.
#pragma once

#include <optional>
#include <vector>

#include "comm/all_reduce.hpp"
#include "comm/halving.hpp"
#include "comm/request.hpp"
#include "support/timeline.hpp"

namespace dovetail {

/// Where a part is on its way, and what it needs there.
struct AllReduce::Part {
  using Span = ElementSpan;
  enum class Stage { idle, waiting_ready, exchanging, waiting_summed };

  ReductionPart of;
  std::size_t number = 0;
  Stage stage = Stage::idle;
  std::uint64_t round = 0;
  Compression compression = Compression::none;
  Span slice{};                         // this rank's, where it sums one
  std::vector<Span> pieces{};           // of the slice, by group
  std::size_t step = 0;                 // round of the exchange
  std::vector<HalvingRound> halving{};  // empty: the exchange is direct
  std::vector<float> arriving{};        // what a round of halving adds
  std::vector<Request> requests{};
  std::vector<std::vector<std::byte>> outgoing{}, incoming{};  // codes, by group
  std::vector<std::vector<float>> summands{};                  // by group
  int tag(bool of_sums) const;                                 // of its messages

  // ---- for timelines
  std::optional<timeline::Lane> lane{};
  std::int64_t began_ns = 0;  // 0: this round is not recorded
  std::int64_t stage_ns = 0;  // when the stage began
  void begin_spans();
  /// Ends a stage, and begins the next one.
  void end_stage(const char* name, timeline::Category category);
  void end_spans();
};

/// Who shares memory with whom.
struct AllReduce::Layout {
  const Communicator& ranks;
  std::optional<Communicator> group{};   // ranks that share a window
  std::optional<Communicator> across{};  // ranks that sum the same slice, one a group
  int groups = 1;
  std::size_t summing = 1;  // ranks of each group that sum a slice
  std::size_t elements = 0, flag_bytes = 0;

  explicit Layout(const Communicator& r) : ranks(r) {}
  std::size_t local() const { return static_cast<std::size_t>(group->rank()); }
  std::size_t locals() const { return static_cast<std::size_t>(group->size()); }
  std::size_t mine() const { return static_cast<std::size_t>(across->rank()); }
  bool sums() const { return local() < summing; }
};

/// Part `index` of `parts` of a span, cut at multiples of a cache line.
template <typename Span>
Span cut_at_lines(const Span& whole, std::size_t index, std::size_t parts) {
  constexpr std::size_t line_elements = AllReduce::line / sizeof(float);
  const auto place = [&](std::size_t i) {
    return i == parts ? whole.count : whole.count * i / parts / line_elements * line_elements;
  };
  return {whole.begin + place(index), place(index + 1) - place(index)};
}

}  // namespace dovetail
