// Records what this process does when, for a trace of the whole job: spans of time in lanes.
//
// Off until start(): then each place that records costs one branch. Any thread may record; the
// spans lie in memory that is reserved at the start and never grows. What lasts for many steps (a
// phase outside of a step, such as validation) is recorded throughout; the work within a step only
// where the step lies in the window.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/clock_offset.hpp"

namespace dovetail::timeline {

enum class Category : std::uint8_t { step, work, waiting, input, kernel, copy, reduce };
const char* to_string(Category category);

using Name = std::uint32_t;  // of a text that was interned; 0: none
using Lane = std::uint16_t;

inline constexpr Lane host_lane = 0;  // of the thread that calls activity::enter

struct Span {
  std::int64_t begin_ns = 0, end_ns = 0;  // of the lane's clock
  std::uint64_t step = 0;                 // 0: none
  std::uint64_t bytes = 0;
  Name name = 0, part = 0;
  std::int32_t bucket = -1;
  Lane lane = host_lane;
  Category category = Category::work;
};

/// Steps that are recorded in detail, counted from 1.
struct Window {
  std::uint64_t first = 1, last = 50;
  bool holds(std::uint64_t step) const { return step >= first && step <= last; }
};

struct Capacity {
  std::size_t detailed = std::size_t{1} << 20, lasting = std::size_t{1} << 16;  // spans
};

/// All that one process has recorded, in its steady_clock.
struct Recording {
  std::vector<std::string> names, lanes;
  std::vector<Span> spans;          // by lane, then by begin, the enclosing one first
  std::uint64_t dropped = 0;        // spans for which there was no memory
  std::int64_t uncertainty_ns = 0;  // of lanes with clocks of their own, at most
};

/// Begins to record. The thread that calls it owns the host's lane.
void start(const Window& window, const Capacity& capacity = {});
/// Ends that. All threads that have recorded have ended, or do so no more.
Recording stop();

namespace state {
extern std::atomic<bool> on, detailed;
}
inline bool on() {
  return state::on.load(std::memory_order_relaxed);
}
/// Whether the step that is under way is recorded in detail.
inline bool detailed() {
  return state::detailed.load(std::memory_order_relaxed);
}

Name intern(std::string_view text);
Lane new_lane(const std::string& name);
/// What the lane's times are told by; `theirs` is the lane's clock, `mine` steady_clock.
void set_clock(Lane lane, const ClockLine& clock);
/// A span of the step and the part that are under way, its times still missing.
Span span_of(Lane lane, Category category, Name name);
/// What happens within a step.
void record(const Span& span);

// ---- for the host's thread alone

/// From now on `step` is under way (of a GPU rank: by Step, below).
void enter_step(std::uint64_t step);
/// The weights of after step `version` are being looked at. In detail where that lies in the
/// window; else the first version after it is.
void enter_version(std::uint64_t version);
/// Ends the phase before it and begins the next one: what activity::enter calls.
void enter_phase(const char* phase, std::uint64_t step, Category category);

/// From construction to destruction a step is under way; phases within it end with it.
class Step {
 public:
  explicit Step(std::uint64_t step) {
    if (on()) begin(step);
  }
  ~Step() {
    if (begun_) end();
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

 private:
  void begin(std::uint64_t step);
  void end();
  bool begun_ = false;
};

/// A span of the host's lane within a phase or beside them; phases within it end with it.
class Aside {
 public:
  explicit Aside(const char* name) {
    if (detailed()) begin(name);
  }
  ~Aside() {
    if (begun_) end();
  }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

 private:
  void begin(const char* name);
  void end();
  bool begun_ = false;
};

// ---- for any thread

/// What the spans that this thread records meanwhile are a part of, such as "conv1 forward".
class Part {
 public:
  explicit Part(std::string_view what, std::string_view pass = {}) {
    if (detailed()) begin(what, pass);
  }
  ~Part() {
    if (begun_) end();
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

 private:
  void begin(std::string_view what, std::string_view pass);
  void end() const;
  Name before_ = 0;
  bool begun_ = false;
};

/// A span from construction to destruction, in a lane that this thread has to itself among those
/// named `lanes`; threads that end leave theirs to later ones.
class Scope {
 public:
  Scope(const std::string& lanes, Category category, std::string_view name,
        std::uint64_t bytes = 0) {
    if (detailed()) begin(lanes, category, name, bytes);
  }
  ~Scope() {
    if (begun_) end();
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// What it stands for took place from `begin_ns` to `end_ns`, as a device tells: that is the
  /// span, unless it does not lie between construction and now.
  void took_place(std::int64_t begin_ns, std::int64_t end_ns);

 private:
  void begin(const std::string& lanes, Category category, std::string_view name,
             std::uint64_t bytes);
  void end();
  Span span_;  // its end is 0 until it is known
  bool begun_ = false;
};

}  // namespace dovetail::timeline
