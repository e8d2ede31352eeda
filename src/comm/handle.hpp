// What a Communicator holds of MPI. Only this folder's .cpp files include it.
#pragma once

#include <exception>

#include "comm/communicator.hpp"
#include "comm/mpi_check.hpp"

namespace dovetail {

struct Communicator::Handle {
  MPI_Comm comm = MPI_COMM_NULL;

  explicit Handle(MPI_Comm owned) : comm(owned) {
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  }
  ~Handle() {
    int stopped = 0;
    MPI_Finalized(&stopped);
    // Freeing is collective: after a failure the others may not come.
    if (!stopped && std::uncaught_exceptions() == 0) MPI_Comm_free(&comm);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

}  // namespace dovetail
