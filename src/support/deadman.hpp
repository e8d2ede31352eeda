// Notices when a thread that should look now and then no longer does.
#pragma once

#include <atomic>
#include <functional>

#include "support/lookout.hpp"

namespace dovetail {

/// For a thread whose own calls to the system may never return, such as those to a file system
/// whose server hangs. Touches no file itself.
class Deadman {
 public:
  /// `dead`: called once, in a thread of its own, with the seconds since the last sign().
  Deadman(double timeout_s, std::function<void(double seconds)> dead);

  /// The thread is well. Never waits.
  void sign() { last_ = Clock::now().time_since_epoch(); }
  void set_timeout(double timeout_s) { timeout_s_ = timeout_s; }

 private:
  using Clock = Lookout::Clock;

  bool look(Clock::duration missed);

  std::function<void(double)> dead_;
  std::atomic<double> timeout_s_;
  std::atomic<Clock::duration> last_;
  Lookout lookout_;  // last
};

}  // namespace dovetail
