// One recorder a process.
#include "support/timeline.hpp"

#include "support/timeline_state.hpp"

namespace dovetail::timeline {

std::atomic<bool> state::on{false}, state::detailed{false};
std::atomic<Recorder*> recorder{nullptr};
std::atomic<std::uint64_t> generation{0}, current_step{0};
thread_local Name current_part = 0;

void end_phase(Recorder& r, std::int64_t now) {
  Frame& frame = r.frames.back();
  if (!frame.has_phase) return;
  frame.has_phase = false;
  frame.phase.end_ns = now;
  if (r.frames.size() == 1) {
    r.lasting.add(frame.phase);
  } else if (detailed()) {
    r.detailed.add(frame.phase);
  }
}

const char* to_string(Category category) {
  static constexpr const char* names[] = {"step",   "work", "waiting", "input",
                                          "kernel", "copy", "reduce"};
  return names[static_cast<std::size_t>(category)];
}

void start(const Window& window, const Capacity& capacity) {
  delete recorder.exchange(new Recorder(window, capacity, ++generation));
  current_step = 0;
  state::detailed = false;
  state::on = true;
}

Recording stop() {
  Recording recording;
  if (!on()) return recording;
  Recorder& r = *recorder;
  end_phase(r, steady_ns());
  state::on = false;
  state::detailed = false;
  const std::lock_guard lock(r.mutex);
  recording.names = r.names;
  for (const LaneState& lane : r.lanes) {
    recording.lanes.push_back(lane.name);
    recording.uncertainty_ns = std::max(recording.uncertainty_ns, lane.clock.uncertainty());
  }
  r.lasting.append_to(recording.spans);
  r.detailed.append_to(recording.spans);
  recording.dropped = r.lasting.dropped() + r.detailed.dropped();
  for (Span& span : recording.spans) {
    const ClockLine& clock = r.lanes[span.lane].clock;
    span.begin_ns = clock.mine_at(span.begin_ns);
    span.end_ns = std::max(span.begin_ns, clock.mine_at(span.end_ns));
  }
  std::ranges::sort(recording.spans, [](const Span& a, const Span& b) {
    return std::tuple(a.lane, a.begin_ns, -a.end_ns) < std::tuple(b.lane, b.begin_ns, -b.end_ns);
  });
  return recording;
}

Name intern(std::string_view text) {
  Recorder& r = *recorder;
  const std::lock_guard lock(r.mutex);
  if (const auto found = r.numbers.find(text); found != r.numbers.end()) return found->second;
  r.names.emplace_back(text);
  const auto number = static_cast<Name>(r.names.size() - 1);
  r.numbers.emplace(text, number);
  return number;
}

Lane new_lane(const std::string& name) {
  Recorder& r = *recorder;
  const std::lock_guard lock(r.mutex);
  r.lanes.push_back({name, {}, true});
  return static_cast<Lane>(r.lanes.size() - 1);
}

void set_clock(Lane lane, const ClockLine& clock) {
  Recorder& r = *recorder;
  const std::lock_guard lock(r.mutex);
  r.lanes[lane].clock = clock;
}

Span span_of(Lane lane, Category category, Name name) {
  Span span;
  span.step = current_step;
  span.name = name;
  span.part = current_part;
  span.lane = lane;
  span.category = category;
  return span;
}

void record(const Span& span) {
  if (on()) (*recorder).detailed.add(span);
}

void enter_step(std::uint64_t step) {
  if (!on()) return;
  current_step = step;
  state::detailed = (*recorder).window.holds(step);
}

void enter_version(std::uint64_t version) {
  if (!on()) return;
  Recorder& r = *recorder;
  enter_step(version);
  if (version <= r.window.last) return;
  if (r.late_version == 0) r.late_version = version;
  state::detailed = version == r.late_version;
}

void enter_phase(const char* phase, std::uint64_t step, Category category) {
  Recorder& r = *recorder;
  Frame& frame = r.frames.back();
  Span next;
  next.name = intern(phase);
  next.step = step;
  next.category = category;
  if (frame.has_phase && frame.phase.name == next.name && frame.phase.step == step &&
      frame.phase.category == category)
    return;  // it goes on
  next.begin_ns = steady_ns();
  end_phase(r, next.begin_ns);
  frame.phase = next;
  frame.has_phase = true;
}

}  // namespace dovetail::timeline
