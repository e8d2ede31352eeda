// What this process is doing now, for a watchdog in another thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dovetail::activity {

/// How long a phase may take, and whose fault it is when it takes longer.
enum class Kind : std::uint32_t {
  work,  // this rank's own: a device, a file
  wait,  // for other ranks: one of them is the cause
  idle   // until something comes, however long that takes
};

/// What a phase may hang in: a driver's call that has no time limit of its own.
enum class Call : std::uint32_t {
  none,
  open_card,
  load_xclbin,
  write_to_card,
  read_from_card,
  run_kernel,
  build_kernels
};
inline constexpr std::size_t calls = 7;
/// "writing to the card"; of none: nothing.
const char* to_string(Call call);

struct State {
  std::uint64_t count = 0;  // of signs of progress
  const char* phase = "start";
  std::uint64_t step = 0;
  Kind kind = Kind::idle;
  std::int32_t bucket = -1;  // of gradients that is waited for; -1: none
  Call call = Call::none;    // that has not returned
};

/// Begins a phase; that it is called at all is the sign of progress. `phase` is a literal. Costs
/// some nanoseconds. Only one thread of a process calls it. Timelines record the same phases.
void enter(const char* phase, std::uint64_t step, Kind kind = Kind::work);
/// Within a phase, by the same thread: the bucket that it waits for now. Another one than before is
/// a sign of progress, too; the next enter() forgets it.
void at_bucket(std::size_t bucket);
/// While one lives, its call has not returned; beginning and end are signs of progress. Any thread
/// may have some.
class During {
 public:
  explicit During(Call call);
  ~During();
  During(const During&) = delete;
  During& operator=(const During&) = delete;

 private:
  Call call_;
};
/// As of one of the latest calls; its members may be of neighbouring ones.
State now();

}  // namespace dovetail::activity
