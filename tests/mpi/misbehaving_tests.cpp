// Tests that fail on purpose, on one rank each; the program behind the watchdog's part of
// job_end_test.
#include <gtest/gtest.h>

#include <thread>

#include "mpi/mpi_main.hpp"

namespace dovetail {
namespace {

using testing::world;

TEST(Misbehaving, FailsOnTheLastRank) {
  EXPECT_LT(world().rank(), world().size() - 1);
}

TEST(Misbehaving, IsLeftByTheLastRank) {
  ASSERT_LT(world().rank(), world().size() - 1);
  world().barrier();
}

TEST(Misbehaving, HangsOnTheLastRank) {
  if (world().rank() == world().size() - 1) std::this_thread::sleep_for(std::chrono::hours(1));
}

}  // namespace
}  // namespace dovetail
