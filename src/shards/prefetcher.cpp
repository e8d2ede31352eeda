// Keeps a short queue of batches filled.
#include "shards/prefetcher.hpp"

#include <algorithm>
#include <utility>

#include "support/cores.hpp"
#include "support/timeline.hpp"

namespace dovetail {
namespace {

constexpr std::size_t ahead_bytes = std::size_t{4} << 20, ahead_bytes_of_several = 16 * ahead_bytes;
constexpr std::size_t least_ahead = 2, most_ahead = 16, most_ahead_of_several = 64;
constexpr std::size_t growth_of_several = 2;
// Waits add up where there are more than one in 1 + that.
constexpr std::size_t weight_of_wait = 8;

}  // namespace

int Prefetcher::threads_for_short_steps(int ranks) {
  constexpr int most = 8;  // gather 40 million images of 784 bytes a second
  return threads_beside_device(ranks, most);
}

Prefetcher::Prefetcher(ShardReader& reader, Schedule schedule, std::size_t ahead, HostMemory memory,
                       int threads)
    : reader_(reader),
      schedule_(std::move(schedule)),
      by_size_(ahead == by_size),
      memory_(std::move(memory)),
      most_bytes_(threads > 1 ? ahead_bytes_of_several : ahead_bytes),
      most_batches_(threads > 1 ? most_ahead_of_several : most_ahead),
      most_growth_(threads > 1 && ahead == by_size ? growth_of_several : 1),
      ahead_(by_size_ ? least_ahead : ahead) {
  const int count = reader.in_memory() ? threads : 1;
  for (int i = 0; i < count; ++i) threads_.emplace_back([this] { read_ahead(); });
}

Prefetcher::Prefetcher(ShardReader& reader, std::size_t ahead, HostMemory memory)
    : Prefetcher(
          reader, [this](std::size_t) { return requested(); }, ahead, std::move(memory)) {}

void Prefetcher::request(const Range& range) {
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(range);
  }
  asked_.notify_one();
}

std::optional<Range> Prefetcher::requested() {
  std::unique_lock lock(mutex_);
  asked_.wait(lock, [&] { return stopping_ || !requests_.empty(); });
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
  room_.notify_all();
  asked_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool Prefetcher::next(Batch& batch) {
  std::unique_lock lock(mutex_);
  const auto is_over = [&] { return end_ && next_step_ >= *end_; };
  const auto is_there = [&] { return is_over() || ready_.contains(next_step_); };
  const bool waits = !is_there();
  if (waits) {
    room_.notify_all();
    arrived_.wait(lock, is_there);
  }
  count_wait(waits);
  if (is_over()) {
    if (failure_) std::rethrow_exception(failure_);
    return false;
  }
  const auto found = ready_.find(next_step_++);
  std::swap(batch, found->second);
  spare_.push_back(std::move(found->second));
  ready_.erase(found);
  const bool reads_on = begun_ - next_step_ <= ahead_ / 2;
  lock.unlock();
  if (reads_on) room_.notify_one();
  return true;
}

std::size_t Prefetcher::most_waiting() {
  const std::lock_guard lock(mutex_);
  return ahead_;
}

void Prefetcher::forget_waits() {
  const std::lock_guard lock(mutex_);
  waits_ = 0;
  growth_ = 1;
  choose_ahead();
}

void Prefetcher::count_wait(bool has_waited) {
  // Nobody could have read the first ones ahead.
  if (growth_ == most_growth_ || next_step_ < ahead_) return;
  waits_ = has_waited ? waits_ + weight_of_wait : waits_ - std::min<std::size_t>(waits_, 1);
  if (waits_ < weight_of_wait * ahead_ / 2) return;
  growth_ = most_growth_;
  choose_ahead();
}

void Prefetcher::choose_ahead() {
  if (!by_size_) return;
  const std::size_t bytes = std::max<std::size_t>(1, batch_bytes_);
  ahead_ = std::clamp(growth_ * most_bytes_ / bytes, least_ahead, growth_ * most_batches_);
}

void Prefetcher::read_ahead() {
  for (;;) {
    std::optional<std::size_t> step;
    try {
      Batch batch = Batch::in(memory_);
      std::optional<Range> range;
      std::size_t largest = 0;
      await_room();
      {
        const std::lock_guard turn(turn_);
        step = begin_step(batch);
        if (step) range = schedule_(*step);
        if (range) largest_ = std::max(largest_, range->count);
        largest = largest_;
      }
      if (!step) {
        const std::lock_guard lock(mutex_);
        if (ends()) return;
        continue;
      }
      if (!range) return end_at(*step, nullptr);
      {
        const timeline::Scope scope("prefetcher", timeline::Category::input, "read batch");
        // Memory of a short batch will be a long one's.
        if (range->images) batch.images.reserve(largest * reader_.manifest().shape.bytes());
        batch.labels.reserve(largest);
        reader_.read(*range, batch);
      }
      if (add(*step, batch)) arrived_.notify_one();
    } catch (...) {
      return end_at(step, std::current_exception());
    }
  }
}

bool Prefetcher::add(std::size_t step, Batch& batch) {
  const std::lock_guard lock(mutex_);
  batch_bytes_ = batch.images.size();
  choose_ahead();
  ready_.emplace(step, std::move(batch));
  return step == next_step_;
}

void Prefetcher::await_room() {
  std::unique_lock lock(mutex_);
  if (begun_ - next_step_ < ahead_) return;
  room_.wait(lock, [&] { return ends() || begun_ - next_step_ <= ahead_ / 2; });
}

std::optional<std::size_t> Prefetcher::begin_step(Batch& batch) {
  const std::lock_guard lock(mutex_);
  if (ends() || begun_ - next_step_ >= ahead_) return std::nullopt;
  if (!spare_.empty()) {
    if (spare_.front().is_in(memory_)) batch = std::move(spare_.front());
    spare_.pop_front();
  }
  return begun_++;
}

void Prefetcher::end_at(std::optional<std::size_t> step, std::exception_ptr failure) {
  {
    const std::lock_guard lock(mutex_);
    const std::size_t end = step.value_or(begun_);
    if (!end_ || end < *end_) {
      end_ = end;
      failure_ = failure;
    }
  }
  room_.notify_all();
  arrived_.notify_all();
}

}  // namespace dovetail
