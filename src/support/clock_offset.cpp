// Intervals that hold the offset, cut with each other.
#include "support/clock_offset.hpp"

#include <limits>

namespace dovetail {
namespace {

/// The offset at `at`, where it is `begin` at `from` and `end` at `to`.
std::int64_t offset_at(std::int64_t at, std::int64_t from, std::int64_t begin, std::int64_t to,
                       std::int64_t end) {
  if (at <= from || to <= from) return begin;
  if (at >= to) return end;
  const double part = static_cast<double>(at - from) / static_cast<double>(to - from);
  return begin + static_cast<std::int64_t>(part * static_cast<double>(end - begin));
}

}  // namespace

std::optional<SameInstant> same_instant(std::span<const ClockExchange> exchanges) {
  std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
  std::int64_t highest = std::numeric_limits<std::int64_t>::max();
  for (const ClockExchange& exchange : exchanges) {
    lowest = std::max(lowest, exchange.theirs_last - exchange.received);
    highest = std::min(highest, exchange.theirs_first - exchange.sent);
  }
  if (exchanges.empty() || lowest > highest) return std::nullopt;
  const std::int64_t mine = exchanges.back().received, half = (highest - lowest + 1) / 2;
  return SameInstant{mine, mine + lowest + half, half};
}

SameInstant least_round_trip(std::span<const ClockExchange> exchanges) {
  const auto best =
      std::ranges::min_element(exchanges, {}, [](const auto& e) { return e.round_trip(); });
  const std::int64_t offset =
      (best->theirs_first - best->sent + (best->theirs_last - best->received)) / 2;
  const std::int64_t mine = exchanges.back().received;
  return {mine, mine + offset, std::max<std::int64_t>(best->round_trip(), 0) / 2};
}

std::int64_t ClockLine::theirs_at(std::int64_t mine) const {
  return mine + offset_at(mine, first_.mine, first_.offset(), last_.mine, last_.offset());
}

std::int64_t ClockLine::mine_at(std::int64_t theirs) const {
  return theirs - offset_at(theirs, first_.theirs, first_.offset(), last_.theirs, last_.offset());
}

}  // namespace dovetail
