// How another clock stands to this process's: from exchanges that bracket its readings.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

namespace dovetail {

/// Nanoseconds of std::chrono::steady_clock.
inline std::int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// One question to another clock, in nanoseconds: sent at `sent` of mine and answered at `received`
/// of mine; in between it read `theirs_first`, then `theirs_last`.
struct ClockExchange {
  std::int64_t sent = 0, theirs_first = 0, theirs_last = 0, received = 0;
  std::int64_t round_trip() const { return (received - sent) - (theirs_last - theirs_first); }
};

/// Readings of both clocks at one moment, `theirs` with an error of `uncertainty` at most.
struct SameInstant {
  std::int64_t mine = 0, theirs = 0, uncertainty = 0;
  std::int64_t offset() const { return theirs - mine; }
};

/// Each exchange bounds the offset theirs - mine from both sides: by theirs_last - received from
/// below, by theirs_first - sent from above (Cristian, "Probabilistic clock synchronization",
/// 1989). Takes the middle of what all of them leave, as of the last one: never worse than the
/// exchange with the least round trip. nullopt where they contradict each other, and where there is
/// none.
std::optional<SameInstant> same_instant(std::span<const ClockExchange> exchanges);

/// The middle of the one exchange with the least round trip, whatever the others say. At least one.
SameInstant least_round_trip(std::span<const ClockExchange> exchanges);

/// Tells one clock's times in the other's, by a line through two moments at which both were read:
/// before the first and after the last the offset stays as it was there.
class ClockLine {
 public:
  ClockLine() = default;  // the same clock
  ClockLine(const SameInstant& first, const SameInstant& last) : first_(first), last_(last) {}

  std::int64_t theirs_at(std::int64_t mine) const;
  std::int64_t mine_at(std::int64_t theirs) const;
  std::int64_t uncertainty() const { return std::max(first_.uncertainty, last_.uncertainty); }

 private:
  SameInstant first_, last_;
};

}  // namespace dovetail
