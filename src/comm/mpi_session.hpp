// MPI from its start to its end in one process, and the way to end the whole job at once.
#pragma once

#include <functional>
#include <string>

namespace dovetail {

/// Lives in main around everything that communicates; one per process. Works without mpirun too, as
/// a job of one rank. Only the thread that made it may communicate.
///
/// When more ranks than cores share the host, Open MPI is told before its start to give up the core
/// while it waits (mpi_yield_when_idle), unless the user has set that.
///
/// When an exception leaves main's scope, MPI is not finalized, since that would wait for the other
/// ranks; mpirun ends them as soon as this process has gone.
class MpiSession {
 public:
  /// Throws Error where MPI is already running or was stopped in this process.
  MpiSession();
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

 private:
  int exceptions_at_start_;
};

/// Ends all ranks within seconds; mpirun returns `exit_code`, which must not be 0.
[[noreturn]] void abort_job(int exit_code);

/// Prints `line` as an error, then aborts the job; before MPI's start, too. Where all ranks fail
/// for the same reason the line appears once: the first rank speaks at once and ends the others,
/// which hold their tongue for a moment. `last` is called between the line and the end.
[[noreturn]] void fail_job(const std::string& line, int exit_code,
                           const std::function<void()>& last = {});
/// Where this rank knows that another one has failed before it: unless it is rank 0, fail_job then
/// waits ten seconds more for the launcher to end it: on loaded hosts an abort may take longer to
/// reach the others than they hold their tongue.
void leave_the_word_to_another();

/// How many ranks of this job the launcher says are on this host; 1 without a launcher. Known
/// before MPI starts.
int launched_local_ranks();
/// This process's rank as the launcher says; 0 without a launcher. Known before MPI starts.
int launched_rank();

}  // namespace dovetail
