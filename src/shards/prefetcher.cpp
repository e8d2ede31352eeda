// Keeps a short queue of batches filled.
#include "shards/prefetcher.hpp"

#include <algorithm>
#include <utility>

#include "support/timeline.hpp"

namespace dovetail {
namespace {

constexpr std::size_t ahead_bytes = std::size_t{4} << 20;
constexpr std::size_t least_ahead = 2, most_ahead = 16;

}  // namespace

Prefetcher::Prefetcher(ShardReader& reader, Schedule schedule, std::size_t ahead, HostMemory memory)
    : reader_(reader),
      schedule_(std::move(schedule)),
      by_size_(ahead == by_size),
      memory_(std::move(memory)),
      ahead_(by_size_ ? least_ahead : ahead),
      thread_([this] { read_ahead(); }) {}

Prefetcher::Prefetcher(ShardReader& reader, std::size_t ahead, HostMemory memory)
    : Prefetcher(
          reader, [this](std::size_t) { return requested(); }, ahead, std::move(memory)) {}

void Prefetcher::request(const Range& range) {
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(range);
  }
  changed_.notify_all();
}

std::optional<Range> Prefetcher::requested() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || !requests_.empty(); });
  if (stopping_) return std::nullopt;
  Range range = std::move(requests_.front());
  requests_.pop_front();
  return range;
}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool Prefetcher::next(Batch& batch) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || ended_; });
  if (ready_.empty()) {
    if (failure_) std::rethrow_exception(failure_);
    return false;
  }
  std::swap(batch, ready_.front());
  spare_.push_back(std::move(ready_.front()));
  ready_.pop_front();
  const bool reads_on = ready_.size() <= ahead_ / 2;
  lock.unlock();
  if (reads_on) changed_.notify_all();
  return true;
}

void Prefetcher::choose_ahead(const Batch& batch) {
  if (!by_size_) return;
  const std::size_t bytes = std::max<std::size_t>(1, batch.images.size());
  ahead_ = std::clamp(ahead_bytes / bytes, least_ahead, most_ahead);
}

void Prefetcher::read_ahead() {
  std::exception_ptr failure;
  try {
    read_schedule();
  } catch (...) {
    failure = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    ended_ = true;
  }
  changed_.notify_all();
}

void Prefetcher::read_schedule() {
  for (std::size_t step = 0;; ++step) {
    Batch batch = Batch::in(memory_);
    {
      std::unique_lock lock(mutex_);
      if (ready_.size() >= ahead_)
        changed_.wait(lock, [&] { return stopping_ || ready_.size() <= ahead_ / 2; });
      if (stopping_) return;
      if (!spare_.empty()) {
        if (spare_.front().is_in(memory_)) batch = std::move(spare_.front());
        spare_.pop_front();
      }
    }
    const std::optional<Range> range = schedule_(step);
    if (!range) return;
    {
      const timeline::Scope scope("prefetcher", timeline::Category::input, "read batch");
      reader_.read(*range, batch);
    }
    {
      const std::lock_guard lock(mutex_);
      choose_ahead(batch);
      ready_.push_back(std::move(batch));
    }
    changed_.notify_all();
  }
}

}  // namespace dovetail
