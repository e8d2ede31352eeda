// What watches over a job from its first moment to its last: a stall ends it in one line that says
// which rank, host, device and phase, and so does a rank that is killed.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app/command_line.hpp"
#include "comm/communicator.hpp"
#include "comm/placement.hpp"
#include "support/stop_signal.hpp"
#include "support/watchdog.hpp"

namespace dovetail::app {

/// How long a job may go without progress, while it starts and then.
struct StallOptions {
  double start_s = 600;  // building kernels and programming a card take their time
  double stall_s = 300;

  void add_to(CommandLine& line);
  /// Throws UsageError for times that cannot be.
  void check() const;
};

/// What a command tells its watch.
struct WatchedJob {
  std::string command;                 // "infer"
  std::filesystem::path signs;         // a folder for signs of life, which the lead has made
  std::shared_ptr<const void> lock{};  // on the lead: let go of when the signs are removed
  StallOptions limits;
  std::function<std::string()> remedy;  // behind the line
  /// Writes down why the job fails; once, on the rank that says so. May be empty.
  std::function<void(const std::string& why)> note_failure;
  /// Removes what a failed job is not to leave; last, on the rank that says so. `started`: whether
  /// started() was called.
  std::function<void(bool started)> clean;
};

/// Does nothing until begin(). Outlives MPI, so that a rank that does not come to its end is seen;
/// then removes the signs of life.
class JobWatch {
 public:
  JobWatch() = default;
  ~JobWatch();
  JobWatch(const JobWatch&) = delete;
  JobWatch& operator=(const JobWatch&) = delete;

  /// Collective, after the lead has made the folder.
  void begin(const Communicator& world, WatchedJob job);
  /// Devices have been chosen, and `world`, which begin() had, may be numbered anew.
  void placed(const Communicator& world, const Placement& placement);
  /// From here on the time limit is that of work, not of the start.
  void started();
  /// What is left is that the ranks end.
  void done();
  /// From here on signals are noted; until calm() again.
  void note_signals() { signals_.emplace(); }
  void calm() { signals_.reset(); }

  /// An exception ends the job on this rank.
  void failed(const std::string& why);
  /// The last thing before the job is aborted by this rank.
  void clean();

 private:
  /// As stalled, without touching a file.
  void cut_off_from_files(const std::string& line);
  void stalled(const std::string& line);

  WatchedJob job_;
  int rank_ = 0;  // as begun
  std::atomic<bool> started_ = false;
  std::optional<StopSignal> signals_;
  std::optional<Watchdog> watchdog_;
};

}  // namespace dovetail::app
