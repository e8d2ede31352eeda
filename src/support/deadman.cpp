// Looks five times a second.
#include "support/deadman.hpp"

#include <utility>

namespace dovetail {
namespace {

constexpr std::chrono::milliseconds look{200};
constexpr std::chrono::milliseconds pause{1500};  // more than a loaded host lets a thread wait

}  // namespace

Deadman::Deadman(double timeout_s, std::function<void(double seconds)> dead)
    : dead_(std::move(dead)), timeout_s_(timeout_s), last_(Clock::now().time_since_epoch()) {
  thread_ = std::thread([this] { watch(); });
}

Deadman::~Deadman() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Deadman::watch() {
  Clock::time_point last_look = Clock::now();
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, look, [this] { return over_; })) {
    // A process that was stopped (SIGSTOP, scontrol suspend) has had no time for signs.
    const Clock::duration missed = Clock::now() - last_look - look;
    last_look = Clock::now();
    if (missed > pause) sign();
    const double seconds =
        std::chrono::duration<double>(last_look.time_since_epoch() - last_.load()).count();
    if (seconds < timeout_s_) continue;
    dead_(seconds);
    return;
  }
}

}  // namespace dovetail
