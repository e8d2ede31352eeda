// Tells the watchdog of one rank who the others are, and what a failure is to leave.
#include "app/job_watch.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <sstream>

#include "app/expect.hpp"
#include "comm/mpi_session.hpp"
#include "support/activity.hpp"
#include "support/log.hpp"
#include "support/network_probe.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

std::string called(int rank, const std::string& host, const std::string& device) {
  return fmt::format("rank {} on {} ({})", rank, host, device);
}

}  // namespace

void StallOptions::add_to(CommandLine& line) {
  line.add("stall-timeout", stall_s,
           "seconds without progress after which the job ends, naming the rank that stalls");
  line.add("start-timeout", start_s,
           "the same while the job starts: devices, shards, kernels, xclbins");
}

void StallOptions::check() const {
  expect_timeout("stall-timeout", stall_s);
  expect_timeout("start-timeout", start_s);
}

JobWatch::~JobWatch() {
  if (!watchdog_) return;
  watchdog_.reset();
  std::error_code ignored;
  if (rank_ == 0) std::filesystem::remove_all(job_.signs, ignored);
}

void JobWatch::begin(const Communicator& world, WatchedJob job) {
  job_ = std::move(job);
  rank_ = world.rank();
  const std::vector<ProcessId> processes = world.all_gather(this_process());
  const auto addresses = world.all_gather_text(fmt::format("{}", fmt::join(own_addresses(), " ")));
  WatchdogSettings settings;
  settings.rank = rank_;
  settings.timeout_s = job_.limits.start_s;
  settings.beat_s = beat_of(std::min(job_.limits.start_s, job_.limits.stall_s));
  settings.folder = job_.signs;
  settings.end = [this](const std::string& line) { stalled(line); };
  settings.end_without_files = [this](const std::string& line) { cut_off_from_files(line); };
  for (std::size_t rank = 0; rank < processes.size(); ++rank) {
    const std::string& host = world.hosts()[rank];
    std::istringstream words(addresses[rank]);
    settings.ranks.push_back({called(static_cast<int>(rank), host, "no device yet"),
                              host,
                              processes[rank],
                              {std::istream_iterator<std::string>(words), {}}});
  }
  activity::enter("start", 0, activity::Kind::wait);
  watchdog_.emplace(std::move(settings));
}

void JobWatch::placed(const Communicator& world, const Placement& placement) {
  std::vector<std::string> names(static_cast<std::size_t>(world.size()));
  const std::vector<int> begun_as = world.all_gather(rank_);
  for (std::size_t rank = 0; rank < names.size(); ++rank) {
    const RankPlacement& placed = placement.ranks[rank];
    names[static_cast<std::size_t>(begun_as[rank])] =
        called(static_cast<int>(rank), placed.host, placed.device.name);
  }
  watchdog_->rename(names);
}

void JobWatch::started() {
  started_ = true;
  watchdog_->set_timeout(job_.limits.stall_s);
}

void JobWatch::done() {
  if (watchdog_) watchdog_->job_is_done();
}

void JobWatch::failed(const std::string& why) {
  if (!watchdog_) return;
  if (!watchdog_->signs_removed() && is_first_to_fail(job_.signs)) {
    if (job_.note_failure) job_.note_failure(why);
  } else {
    leave_the_word_to_another();
  }
  watchdog_.reset();  // leaves its last word before the job ends
}

void JobWatch::clean() {
  if (job_.clean) job_.clean(started_);
}

void JobWatch::cut_off_from_files(const std::string& line) {
  log::error(fmt::format("dovetail {}: {}. Once it does, go on with --resume", job_.command, line));
  std::_Exit(1);
}

void JobWatch::stalled(const std::string& line) {
  log::error(fmt::format("dovetail {}: {}. {}", job_.command, line, job_.remedy()));
  if (job_.note_failure) job_.note_failure(line);
  clean();
  // The thread that talks to MPI is stuck; the launcher ends the others once this rank is gone.
  std::_Exit(1);
}

}  // namespace dovetail::app
