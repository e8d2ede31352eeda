// One writer of phases, any number of calls, any readers.
#include "support/activity.hpp"

#include <array>
#include <atomic>
#include <string_view>

#include "support/timeline.hpp"

namespace dovetail::activity {
namespace {

std::atomic<std::uint64_t> count{0}, step{0};
std::atomic<const char*> phase{"start"};
std::atomic<Kind> kind{Kind::idle};
std::atomic<std::int32_t> bucket{-1};
std::array<std::atomic<int>, calls> under_way{};  // by call

timeline::Category category_of(const char* of_phase, Kind of_kind) {
  if (of_kind != Kind::work) return timeline::Category::waiting;
  return of_phase == std::string_view("input") ? timeline::Category::input
                                               : timeline::Category::work;
}

}  // namespace

void enter(const char* new_phase, std::uint64_t new_step, Kind new_kind) {
  phase.store(new_phase, std::memory_order_relaxed);
  step.store(new_step, std::memory_order_relaxed);
  kind.store(new_kind, std::memory_order_relaxed);
  bucket.store(-1, std::memory_order_relaxed);
  count.fetch_add(1, std::memory_order_release);
  if (timeline::on()) timeline::enter_phase(new_phase, new_step, category_of(new_phase, new_kind));
}

void at_bucket(std::size_t new_bucket) {
  const auto number = static_cast<std::int32_t>(new_bucket);
  if (bucket.load(std::memory_order_relaxed) == number) return;
  bucket.store(number, std::memory_order_relaxed);
  count.fetch_add(1, std::memory_order_release);
}

const char* to_string(Call call) {
  constexpr std::array<const char*, calls> names{"",
                                                 "opening the card",
                                                 "loading an xclbin",
                                                 "writing to the card",
                                                 "reading from the card",
                                                 "running a kernel on the card",
                                                 "building kernels"};
  return names.at(static_cast<std::size_t>(call));
}

During::During(Call call) : call_(call) {
  under_way.at(static_cast<std::size_t>(call_)).fetch_add(1, std::memory_order_relaxed);
  count.fetch_add(1, std::memory_order_release);
}

During::~During() {
  under_way[static_cast<std::size_t>(call_)].fetch_sub(1, std::memory_order_relaxed);
  count.fetch_add(1, std::memory_order_release);
}

State now() {
  State state;
  state.count = count.load(std::memory_order_acquire);
  state.phase = phase;
  state.step = step;
  state.kind = kind;
  state.bucket = bucket;
  for (std::size_t call = 0; call < calls; ++call)
    if (under_way[call] > 0) state.call = static_cast<Call>(call);
  return state;
}

}  // namespace dovetail::activity
