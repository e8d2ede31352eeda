// Tells the watchdog of one rank who the others are.
#include "app/train_watch.hpp"

#include <cstdlib>
#include <iterator>
#include <sstream>

#include "support/log.hpp"
#include "support/network_probe.hpp"
#include "support/text.hpp"

namespace dovetail::app {

TrainWatch::TrainWatch(Communicator& world, const Placement& placement,
                       std::filesystem::path run_folder, double stall_timeout_s)
    : run_folder_(std::move(run_folder)) {
  WatchdogSettings settings;
  settings.rank = world.rank();
  settings.timeout_s = stall_timeout_s;
  settings.folder = run_folder_ / ".ranks";
  const std::vector<ProcessId> processes = world.all_gather(this_process());
  const auto addresses = world.all_gather_text(fmt::format("{}", fmt::join(own_addresses(), " ")));
  for (std::size_t rank = 0; rank < processes.size(); ++rank) {
    const RankPlacement& placed = placement.ranks[rank];
    std::istringstream words(addresses[rank]);
    settings.ranks.push_back({placed.host,
                              placed.device.name,
                              processes[rank],
                              {std::istream_iterator<std::string>(words), {}}});
  }
  settings.end = [folder = run_folder_](const std::string& line) {
    mark_failed(folder, line);
    log::error(fmt::format("dovetail train: {}. {}", line, resume_hint(folder)));
    // The thread that talks to MPI is stuck; the launcher ends the others once this rank is gone.
    std::_Exit(1);
  };
  signals_.emplace();
  watchdog_.emplace(std::move(settings));
}

}  // namespace dovetail::app
