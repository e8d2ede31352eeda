// Starts scontrol without a shell.
#include "app/requeue.hpp"

#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "support/log.hpp"
#include "support/text.hpp"

extern char** environ;

namespace dovetail::app {

void requeue_job() {
  const char* variable = std::getenv("SLURM_JOB_ID");
  if (variable == nullptr) {
    log::warn("--requeue has no effect outside a Slurm job (SLURM_JOB_ID is not set)");
    return;
  }
  std::string command = "scontrol", verb = "requeue", job = variable;
  char* const arguments[] = {command.data(), verb.data(), job.data(), nullptr};
  pid_t child = 0;
  const int failure = ::posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments, environ);
  if (failure != 0) {
    log::warn(fmt::format("cannot start scontrol to queue job {} again: {}", job,
                          std::strerror(failure)));
    return;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status == 0) {
    log::note(fmt::format("job {} is queued again", job));
  } else {
    log::warn(fmt::format("scontrol requeue {} failed: queue the job again by hand", job));
  }
}

}  // namespace dovetail::app
