// What a timeline's recorder holds. Only its .cpp files include it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>

#include "support/timeline.hpp"

namespace dovetail::timeline {

/// Room for a number of spans. The system gives pages when they are first written.
class SpanMemory {
 public:
  explicit SpanMemory(std::size_t capacity)
      : spans_(static_cast<Span*>(std::calloc(capacity, sizeof(Span))), std::free),
        capacity_(capacity) {
    if (!spans_) throw std::bad_alloc();
  }
  void add(const Span& span) {
    const std::size_t place = next_.fetch_add(1, std::memory_order_relaxed);
    if (place < capacity_) spans_.get()[place] = span;
  }
  void append_to(std::vector<Span>& spans) const {
    spans.insert(spans.end(), spans_.get(), spans_.get() + std::min(next_.load(), capacity_));
  }
  std::uint64_t dropped() const {
    const std::size_t asked = next_;
    return asked > capacity_ ? asked - capacity_ : 0;
  }

 private:
  std::unique_ptr<Span, void (*)(void*)> spans_;
  std::size_t capacity_;
  std::atomic<std::size_t> next_{0};
};

/// Where phases of the host's thread lie: in the run, in a step, or aside.
struct Frame {
  Span own{};    // of the step, or of what is aside
  Span phase{};  // the one that has not ended
  bool has_phase = false;
};

struct LaneState {
  std::string name;
  ClockLine clock;  // mine: steady_clock
  bool is_taken = false;
};

struct Recorder {
  Window window;
  SpanMemory detailed, lasting;
  std::uint64_t generation;

  std::vector<Frame> frames{1};    // the host's thread's
  std::uint64_t late_version = 0;  // the one after the window that is recorded; 0: none yet

  std::mutex mutex;  // guards what follows
  std::map<std::string, Name, std::less<>> numbers;
  std::vector<std::string> names{""};
  std::vector<LaneState> lanes{{"host", {}, true}};
  std::map<std::string, std::vector<Lane>> pools;

  Recorder(const Window& w, const Capacity& capacity, std::uint64_t g)
      : window(w), detailed(capacity.detailed), lasting(capacity.lasting), generation(g) {}
};

// Left to the end of the process: threads may give lanes back while it ends.
extern std::atomic<Recorder*> recorder;
extern std::atomic<std::uint64_t> generation, current_step;
extern thread_local Name current_part;

/// Ends the innermost frame's phase. What lasts beyond steps is recorded whatever the window.
void end_phase(Recorder& r, std::int64_t now);

}  // namespace dovetail::timeline
