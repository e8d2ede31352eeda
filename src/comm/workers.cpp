// One round a loop.
#include "comm/workers.hpp"

namespace dovetail {
namespace {

constexpr std::size_t least_count = std::size_t{1} << 17;  // elements that are worth waking others

}  // namespace

Workers::Workers(int threads) {
  for (int number = 1; number < threads; ++number)
    threads_.emplace_back([this, number] { serve(static_cast<std::size_t>(number)); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::run(std::size_t number) const {
  const std::size_t parts = threads_.size() + 1;
  const auto place = [&](std::size_t i) {
    return i == parts ? count_ : count_ * i / parts / 16 * 16;
  };
  (*body_)(place(number), place(number + 1) - place(number));
}

void Workers::split(std::size_t count, const Body& body) {
  if (threads_.empty() || count < least_count) {
    if (count > 0) body(0, count);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    body_ = &body;
    count_ = count;
    busy_ = threads_.size();
    ++round_;
  }
  changed_.notify_all();
  run(0);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return busy_ == 0; });
}

void Workers::serve(std::size_t number) {
  std::size_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || round_ != seen; });
    if (stopping_) return;
    seen = round_;
    lock.unlock();
    run(number);
    lock.lock();
    if (--busy_ == 0) changed_.notify_all();
  }
}

}  // namespace dovetail
