// MPI return codes turned into errors. Only this folder's .cpp files include it.
#pragma once

// The C interface alone: Open MPI's removed C++ bindings would otherwise come along.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <limits>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

/// @param call what was attempted, for example "MPI_Iallreduce".
inline void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(fmt::format("MPI: {} failed: {}", call, text),
              "See mpirun's own messages, and check that all hosts can still be reached");
}

/// MPI 3 counts with int.
inline int mpi_count(std::size_t count) {
  if (count > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw Error(fmt::format("MPI: {} values at once; it takes 2^31 - 1 at most", count));
  }
  return static_cast<int>(count);
}

}  // namespace dovetail
