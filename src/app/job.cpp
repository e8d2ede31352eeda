// Catches what a rank throws and ends the job.
#include "app/job.hpp"

#include "comm/mpi_session.hpp"
#include "support/activity.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

std::string device_in_errors;

std::string who(const std::string& command, const Communicator& world) {
  std::vector<std::string> parts;
  if (world.size() > 1) parts.push_back(fmt::format("rank {} on {}", world.rank(), world.host()));
  if (!device_in_errors.empty()) parts.push_back(device_in_errors);
  if (parts.empty()) return fmt::format("dovetail {}: ", command);
  return fmt::format("dovetail {}: {}: ", command, fmt::join(parts, ", "));
}

}  // namespace

void set_device_in_errors(const std::string& device) {
  device_in_errors = device;
}

int run_job(const std::string& command, const std::function<int(Communicator& world)>& body) {
  return run_watched_job(command,
                         [&](Communicator& world, JobWatch& /*watch*/) { return body(world); });
}

int run_watched_job(const std::string& command,
                    const std::function<int(Communicator& world, JobWatch& watch)>& body) {
  JobWatch watch;  // until MPI has ended
  MpiSession session;
  Communicator world = Communicator::world();
  log::set_quiet(world.rank() != 0);
  log::set_host(world.host(), world.local_rank() == 0);
  const auto fail = [&](const std::exception& failure, const std::string& line, int exit_code) {
    watch.failed(failure.what());
    fail_job(line, exit_code, [&] { watch.clean(); });
  };
  try {
    const int exit_code = body(world, watch);
    activity::enter("end", 0, activity::Kind::wait);
    watch.done();
    return exit_code;
  } catch (const UsageError& failure) {
    fail(failure, fmt::format("dovetail {}: {}", command, failure.what()), 2);
  } catch (const std::bad_alloc& failure) {
    fail(failure, who(command, world) + "out of memory. Use a smaller batch or fewer ranks a host",
         1);
  } catch (const std::exception& failure) {
    fail(failure, who(command, world) + failure.what(), 1);
  }
  return 1;  // not reached
}

}  // namespace dovetail::app
