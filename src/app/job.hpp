// An MPI job around a subcommand: start, who talks, and how an error on one rank ends all of them.
#pragma once

#include <functional>
#include <string>

#include "app/job_watch.hpp"
#include "comm/communicator.hpp"

namespace dovetail::app {

/// Runs `body` on every rank inside an MPI session, where only rank 0 talks. An exception on any
/// rank becomes one line that says who failed, and ends the whole job: exit code 2 for a
/// UsageError, else 1.
int run_job(const std::string& command, const std::function<int(Communicator& world)>& body);
/// The same for a body that begins to watch over the job.
int run_watched_job(const std::string& command,
                    const std::function<int(Communicator& world, JobWatch& watch)>& body);

/// Names the device that this rank works with, for the line above.
void set_device_in_errors(const std::string& device);

}  // namespace dovetail::app
