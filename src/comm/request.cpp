// Tests and waits for operations under way.
#include "comm/request.hpp"

#include <exception>
#include <thread>

#include "comm/operation.hpp"
#include "comm/polite_wait.hpp"
#include "support/log.hpp"

namespace dovetail {

bool Request::Operation::test() {
  int complete = 0;
  MPI_Status status{};
  const int code = MPI_Test(&handle, &complete, &status);
  if (code != MPI_SUCCESS) handle = MPI_REQUEST_NULL;  // MPI has ended it
  check_mpi(code, call);
  if (complete && expected_bytes) {
    MPI_Count bytes = 0;
    check_mpi(MPI_Get_elements_x(&status, MPI_BYTE, &bytes), "MPI_Get_elements_x");
    if (static_cast<std::size_t>(bytes) != *expected_bytes) {
      throw Error(fmt::format("MPI: a message from rank {} has {} bytes where {} were expected",
                              status.MPI_SOURCE, bytes, *expected_bytes));
    }
  }
  return complete != 0;
}

Request::Operation::~Operation() {
  int stopped = 0;
  MPI_Finalized(&stopped);
  if (handle == MPI_REQUEST_NULL || stopped) return;
  if (std::uncaught_exceptions() > 0) {
    // MPI may still write to the buffer: it is left to the end of the process.
    new std::shared_ptr<const void>(std::move(buffer));
    return;
  }
  if (expected_bytes) MPI_Cancel(&handle);
  wait_politely([&] {
    int complete = 0;
    const int code = MPI_Test(&handle, &complete, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS)
      log::error(fmt::format("MPI: {} failed and nobody asked for its result", call));
    return complete || code != MPI_SUCCESS;
  });
}

Request::Request() = default;
Request::~Request() = default;
Request::Request(Request&&) noexcept = default;
Request& Request::operator=(Request&&) noexcept = default;

bool Request::test() {
  if (!operation_) return true;
  if (!operation_->test()) return false;
  operation_.reset();
  return true;
}

void Request::wait() {
  wait_politely([this] { return test(); });
}

void Request::wait_idle(std::chrono::milliseconds poll) {
  while (!test()) std::this_thread::sleep_for(poll);
}

void Request::keep(std::shared_ptr<const void> buffer) {
  if (operation_) operation_->buffer = std::move(buffer);
}

}  // namespace dovetail
