// Catches what a rank throws and ends the job.
#include "app/job.hpp"

#include "comm/mpi_session.hpp"
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
  MpiSession session;
  Communicator world = Communicator::world();
  log::set_quiet(world.rank() != 0);
  try {
    return body(world);
  } catch (const UsageError& failure) {
    fail_job(fmt::format("dovetail {}: {}", command, failure.what()), 2);
  } catch (const std::bad_alloc&) {
    fail_job(who(command, world) + "out of memory. Use a smaller batch or fewer ranks a host", 1);
  } catch (const std::exception& failure) {
    fail_job(who(command, world) + failure.what(), 1);
  }
}

}  // namespace dovetail::app
