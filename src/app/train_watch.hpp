// What watches over a rank while it trains or serves: signals are noted, stalls end the job, and
// failures are written into summary.json.
#pragma once

#include <filesystem>
#include <optional>

#include "comm/communicator.hpp"
#include "comm/mpi_session.hpp"
#include "comm/placement.hpp"
#include "support/stop_signal.hpp"
#include "support/watchdog.hpp"
#include "train/run_folder.hpp"

namespace dovetail::app {

class TrainWatch {
 public:
  /// Collective over all ranks of the job, after the lead has made the run folder.
  TrainWatch(Communicator& world, const Placement& placement, std::filesystem::path run_folder,
             double stall_timeout_s);

  /// Runs `body`; what it throws is written into summary.json where no other rank has failed
  /// before, and thrown on.
  template <typename Body>
  auto guard(const Body& body) {
    try {
      return body();
    } catch (const std::exception& failure) {
      if (is_first_to_fail(run_folder_)) {
        mark_failed(run_folder_, failure.what());
      } else {
        leave_the_word_to_another();
      }
      watchdog_.reset();  // leaves its last word before the job ends
      throw;
    }
  }

 private:
  std::filesystem::path run_folder_;
  std::optional<StopSignal> signals_;
  std::optional<Watchdog> watchdog_;
};

}  // namespace dovetail::app
