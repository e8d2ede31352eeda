// A part's way: ready in all ranks of the group, summed slice by slice, exchanged between groups,
// written to all ranks of the group.
#include "comm/all_reduce.hpp"

#include <atomic>
#include <cstring>

#include "comm/all_reduce_state.hpp"
#include "comm/polite_wait.hpp"
#include "comm/workers.hpp"
#include "support/cores.hpp"
#include "support/error.hpp"

namespace dovetail {

int AllReduce::threads_for(const Communicator& ranks, bool is_cpu) {
  constexpr int most = 4;
  return is_cpu ? 1 : threads_beside_device(ranks.local_size(), most);
}

AllReduce::~AllReduce() = default;

int AllReduce::groups() const {
  return layout_->groups;
}

void AllReduce::scale_feedback(float factor) {
  for (float& value : residual_) value *= factor;
}

std::size_t AllReduce::parts() const {
  return parts_.size();
}

namespace {

/// The counter of a part in a rank's flags.
std::atomic_ref<std::uint64_t> counter(const SharedWindow& window, std::size_t rank,
                                       std::size_t part, bool of_sums) {
  static_assert(std::atomic_ref<std::uint64_t>::is_always_lock_free, "shared between processes");
  std::byte* at = window.segment(static_cast<int>(rank)).data() +
                  (2 * part + (of_sums ? 1 : 0)) * AllReduce::line;
  return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(at));
}

}  // namespace

void AllReduce::start(std::size_t number) {
  Part& part = parts_.at(number);
  if (part.stage != Part::Stage::idle) throw Error("an all-reduce of a part that is under way");
  ++part.round;
  part.stage = Part::Stage::waiting_ready;
  part.begin_spans();
  if (window_)
    counter(*window_, layout_->local(), number, false).store(part.round, std::memory_order_release);
  advance(part);
}

bool AllReduce::all_ready(const Part& part) const {
  for (std::size_t rank = 0; window_ && rank < layout_->locals(); ++rank) {
    if (counter(*window_, rank, part.number, false).load(std::memory_order_acquire) < part.round)
      return false;
  }
  return true;
}

bool AllReduce::all_summed(const Part& part) const {
  for (std::size_t rank = 0; window_ && rank < layout_->summing; ++rank) {
    if (counter(*window_, rank, part.number, true).load(std::memory_order_acquire) < part.round)
      return false;
  }
  return true;
}

void AllReduce::advance(Part& part) {
  using Stage = Part::Stage;
  using timeline::Category;
  if (part.stage == Stage::waiting_ready) {
    if (layout_->sums()) {
      if (!all_ready(part)) return;
      part.end_stage("wait for ranks", Category::waiting);
      sum_in_group(part);
      part.end_stage("add", Category::reduce);
      if (layout_->groups > 1) {
        part.step = 0;
        begin_round(part);
        part.stage = Stage::exchanging;
      } else {
        publish(part);
        part.stage = Stage::waiting_summed;
      }
    } else {
      part.stage = Stage::waiting_summed;
    }
  }
  const auto all_sent = [&] {
    for (Request& request : part.requests) {
      if (!request.test()) return false;
    }
    return true;
  };
  while (part.stage == Stage::exchanging) {
    if (!all_sent()) return;
    part.requests.clear();
    end_round(part);
    if (++part.step < rounds(part)) {
      begin_round(part);
    } else {
      publish(part);
      part.stage = Stage::waiting_summed;
    }
    part.end_stage("messages", Category::reduce);
  }
  if (part.stage == Stage::waiting_summed && all_summed(part)) {
    part.stage = Stage::idle;
    part.end_stage("wait for sums", Category::waiting);
    part.end_spans();
  }
}

std::vector<float*> AllReduce::group_values(std::size_t begin) const {
  if (!window_) return {memory_.data() + begin};
  std::vector<float*> values;
  for (std::size_t rank = 0; rank < layout_->locals(); ++rank) {
    values.push_back(reinterpret_cast<float*>(window_->segment(static_cast<int>(rank)).data() +
                                              layout_->flag_bytes) +
                     begin);
  }
  return values;
}

/// Nobody else touches this slice in any rank's memory until it is published.
void AllReduce::sum_in_group(Part& part) {
  if (layout_->locals() == 1) return;
  workers_->split(part.slice.count, [&](std::size_t first, std::size_t count) {
    const std::vector<float*> values = group_values(part.slice.begin + first);
    const std::vector<const float*> summands(values.begin(), values.end());
    float* mine = values[layout_->local()];
    // Where no other group adds anything, these are the sums.
    tree_sum(summands, count,
             layout_->groups == 1 ? std::span<float* const>(values) : std::span(&mine, 1));
  });
}

void AllReduce::publish(Part& part) {
  if (!window_) return;
  if (layout_->groups > 1) {
    const std::vector<float*> values = group_values(part.slice.begin);
    const float* mine = values[layout_->local()];
    for (float* theirs : values) {
      if (theirs != mine && part.slice.count > 0)
        std::memcpy(theirs, mine, part.slice.count * sizeof(float));
    }
  }
  counter(*window_, layout_->local(), part.number, true)
      .store(part.round, std::memory_order_release);
}

bool AllReduce::progress() {
  bool idle = true;
  for (Part& part : parts_) {
    if (part.stage == Part::Stage::idle) continue;
    advance(part);
    idle = idle && part.stage == Part::Stage::idle;
  }
  // What else is under way in MPI must not wait for the sums.
  if (!idle) layout_->ranks.move_on();
  return idle;
}

bool AllReduce::done(std::size_t part) const {
  return parts_.at(part).stage == Part::Stage::idle;
}

void AllReduce::wait(const std::function<void()>& meanwhile) {
  wait_politely([&] {
    const bool idle = progress();
    if (meanwhile) meanwhile();
    return idle;
  });
}

}  // namespace dovetail
