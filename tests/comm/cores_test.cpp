// The cores of this process, and the ranks that the launcher announces.
#include "support/cores.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <string>

#include "comm/mpi_session.hpp"

namespace dovetail {
namespace {

TEST(Cores, AreThoseOfTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(available_cores().size(), static_cast<std::size_t>(CPU_COUNT(&before)));

  const int last = available_cores().back();
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(last), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(available_cores(), std::vector<int>{last});
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

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
