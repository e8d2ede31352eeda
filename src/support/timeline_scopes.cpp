// Spans that last as long as an object, and the lanes of threads.
#include "support/text.hpp"
#include "support/timeline_state.hpp"

namespace dovetail::timeline {
namespace {

/// The lanes that a thread has, by pool.
struct Leases {
  std::uint64_t of_generation = 0;
  std::vector<std::pair<std::string, Lane>> held;

  ~Leases() {
    if (of_generation != generation || !on()) return;
    Recorder& r = *recorder;
    const std::lock_guard lock(r.mutex);
    for (const auto& [pool, lane] : held) r.lanes[lane].is_taken = false;
  }
};

thread_local Leases leases;

Lane thread_lane(Recorder& r, const std::string& pool) {
  if (leases.of_generation != r.generation) leases.held.clear();
  leases.of_generation = r.generation;
  for (const auto& [name, lane] : leases.held) {
    if (name == pool) return lane;
  }
  const std::lock_guard lock(r.mutex);
  std::vector<Lane>& lanes = r.pools[pool];
  auto free =
      std::find_if(lanes.begin(), lanes.end(), [&](Lane lane) { return !r.lanes[lane].is_taken; });
  if (free == lanes.end()) {
    r.lanes.push_back(
        {lanes.empty() ? pool : fmt::format("{}, {}", pool, lanes.size() + 1), {}, false});
    lanes.push_back(static_cast<Lane>(r.lanes.size() - 1));
    free = lanes.end() - 1;
  }
  r.lanes[*free].is_taken = true;
  leases.held.emplace_back(pool, *free);
  return *free;
}

void push_frame(Recorder& r, const char* name, Category category, std::int64_t now) {
  Frame& frame = r.frames.emplace_back();
  frame.own.begin_ns = now;
  frame.own.step = current_step;
  frame.own.name = intern(name);
  frame.own.category = category;
}

void pop_frame(Recorder& r) {
  const std::int64_t now = steady_ns();
  end_phase(r, now);
  Span own = r.frames.back().own;
  r.frames.pop_back();
  own.end_ns = now;
  if (detailed()) r.detailed.add(own);
}

}  // namespace

void Step::begin(std::uint64_t step) {
  begun_ = true;
  Recorder& r = *recorder;
  const std::int64_t now = steady_ns();
  end_phase(r, now);
  enter_step(step);
  push_frame(r, "step", Category::step, now);
}

void Step::end() {
  pop_frame(*recorder);
}

void Aside::begin(const char* name) {
  begun_ = true;
  push_frame(*recorder, name, Category::work, steady_ns());
}

void Aside::end() {
  pop_frame(*recorder);
}

void Part::begin(std::string_view what, std::string_view pass) {
  if (what.empty()) return;
  begun_ = true;
  before_ = current_part;
  current_part = pass.empty() ? intern(what) : intern(fmt::format("{} {}", what, pass));
}

void Part::end() const {
  current_part = before_;
}

void Scope::begin(const std::string& lanes, Category category, std::string_view name,
                  std::uint64_t bytes) {
  begun_ = true;
  span_ = span_of(thread_lane(*recorder, lanes), category, intern(name));
  span_.bytes = bytes;
  span_.begin_ns = steady_ns();
}

void Scope::took_place(std::int64_t begin_ns, std::int64_t end_ns) {
  if (!begun_ || begin_ns < span_.begin_ns || end_ns < begin_ns || end_ns > steady_ns()) return;
  span_.begin_ns = begin_ns;
  span_.end_ns = end_ns;
}

void Scope::end() {
  if (span_.end_ns == 0) span_.end_ns = steady_ns();
  record(span_);
}

}  // namespace dovetail::timeline
