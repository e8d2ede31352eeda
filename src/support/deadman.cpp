// Compares the clock with the last sign at each look.
#include "support/deadman.hpp"

#include <utility>

namespace dovetail {

Deadman::Deadman(double timeout_s, std::function<void(double seconds)> dead)
    : dead_(std::move(dead)),
      timeout_s_(timeout_s),
      last_(Clock::now().time_since_epoch()),
      lookout_([this](Clock::duration missed) { return look(missed); }) {}

bool Deadman::look(Clock::duration missed) {
  if (missed > Clock::duration::zero()) sign();  // nobody has had time for signs
  const double seconds =
      std::chrono::duration<double>(Clock::now().time_since_epoch() - last_.load()).count();
  if (seconds < timeout_s_) return true;
  dead_(seconds);
  return false;
}

}  // namespace dovetail
