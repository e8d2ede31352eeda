// Starts and stops MPI, and aborts jobs.
#include "comm/mpi_session.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>

#include "comm/mpi_check.hpp"
#include "support/cores.hpp"
#include "support/log.hpp"

namespace dovetail {
namespace {

bool another_has_failed = false;

bool mpi_running() {
  int started = 0;
  int stopped = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&stopped);
  return started && !stopped;
}

}  // namespace

int launched_local_ranks() {
  // Slurm writes "2" or "2(x3),1" (tasks per node); the first number is enough to see a crowded
  // host.
  for (const char* variable :
       {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"}) {
    if (const char* text = std::getenv(variable)) return std::max(1, std::atoi(text));
  }
  return 1;
}

int launched_rank() {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"}) {
    if (const char* text = std::getenv(variable)) return std::max(0, std::atoi(text));
  }
  return 0;
}

MpiSession::MpiSession() : exceptions_at_start_(std::uncaught_exceptions()) {
  if (launched_local_ranks() > static_cast<int>(available_cores().size())) {
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);  // 0: what the user has set stays
  }
  int started = 0;
  MPI_Initialized(&started);
  if (started) throw Error("MPI was already started in this process");
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_FUNNELED) {
    throw Error("this MPI library cannot run beside other threads",
                "Use one built with thread support");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

MpiSession::~MpiSession() {
  if (std::uncaught_exceptions() > exceptions_at_start_ || !mpi_running()) return;
  if (MPI_Finalize() != MPI_SUCCESS) log::error("MPI: MPI_Finalize failed");
}

void abort_job(int exit_code) {
  std::fflush(nullptr);
  if (mpi_running()) MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

void leave_the_word_to_another() {
  another_has_failed = true;
}

void fail_job(const std::string& line, int exit_code, const std::function<void()>& last) {
  std::signal(SIGTERM, SIG_DFL);  // of the launcher, once another rank has spoken
  int rank = launched_rank();
  std::chrono::milliseconds head_start{rank > 0 ? 5000 : 0};  // the launcher ends the others slowly
  if (mpi_running()) {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    // A rank's abort takes up to a second to reach the others on a loaded host.
    if (rank > 0) head_start = std::chrono::milliseconds(1200 + 1000 * std::min(rank - 1, 4));
    if (rank > 0 && another_has_failed) head_start += std::chrono::seconds(10);
  }
  std::this_thread::sleep_for(head_start);
  log::error(line);
  if (last) last();
  abort_job(exit_code);
}

}  // namespace dovetail
