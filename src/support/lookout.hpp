// A thread that looks five times a second, and knows when it could not.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace dovetail {

class Lookout {
 public:
  using Clock = std::chrono::steady_clock;

  /// `look`: called in the thread until it returns false. `missed`: how much later than usual,
  /// where that is more than a loaded host lets a thread wait, since the process was stopped
  /// (SIGSTOP, scontrol suspend) or the look before took so long; else 0.
  explicit Lookout(std::function<bool(Clock::duration missed)> look);
  /// Waits for a look that is under way.
  ~Lookout();
  Lookout(const Lookout&) = delete;
  Lookout& operator=(const Lookout&) = delete;

 private:
  void watch();

  std::function<bool(Clock::duration)> look_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;  // last
};

}  // namespace dovetail
