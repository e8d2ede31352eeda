// Sleeps between looks until its owner goes.
#include "support/lookout.hpp"

#include <utility>

namespace dovetail {
namespace {

constexpr std::chrono::milliseconds between{200};
constexpr std::chrono::milliseconds pause{1500};  // more than a loaded host lets a thread wait

}  // namespace

Lookout::Lookout(std::function<bool(Clock::duration missed)> look) : look_(std::move(look)) {
  thread_ = std::thread([this] { watch(); });
}

Lookout::~Lookout() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Lookout::watch() {
  Clock::time_point last = Clock::now();
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, between, [this] { return over_; })) {
    lock.unlock();
    const Clock::duration missed = Clock::now() - last - between;
    last = Clock::now();
    if (!look_(missed > pause ? missed : Clock::duration::zero())) return;
    lock.lock();
  }
}

}  // namespace dovetail
