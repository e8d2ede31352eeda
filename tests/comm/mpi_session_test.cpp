// The ranks that the launcher announces.
#include "comm/mpi_session.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace dovetail {
namespace {

TEST(LaunchedLocalRanks, AreReadFromTheLauncher) {
  for (const char* name :
       {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"})
    unsetenv(name);
  EXPECT_EQ(launched_local_ranks(), 1);
  setenv("SLURM_STEP_TASKS_PER_NODE", "4(x2),1", 1);
  EXPECT_EQ(launched_local_ranks(), 4);
  setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "3", 1);
  EXPECT_EQ(launched_local_ranks(), 3);
}

}  // namespace
}  // namespace dovetail
