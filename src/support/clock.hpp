// Monotonic time for durations, wall time for the records.
#pragma once

#include <chrono>
#include <ctime>
#include <string>

namespace dovetail {

/// Measures seconds since its construction or its last `restart`.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  /// Returns the seconds so far and starts anew.
  double restart() {
    const double elapsed = seconds();
    start_ = std::chrono::steady_clock::now();
    return elapsed;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Adds the time between its construction and destruction to a total.
class PhaseTimer {
 public:
  explicit PhaseTimer(double& total_s) : total_s_(total_s) {}
  ~PhaseTimer() { total_s_ += watch_.seconds(); }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  double& total_s_;
  Stopwatch watch_;
};

/// The time of day in ISO 8601, UTC, to the second.
inline std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace dovetail
