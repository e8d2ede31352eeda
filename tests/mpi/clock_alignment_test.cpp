// The offsets of ranks' clocks: on one host there are none.
#include "comm/clock_alignment.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "mpi/mpi_main.hpp"

namespace dovetail {
namespace {

using testing::world;

TEST(ClockAlignment, RanksOfOneHostShareItsClock) {
  const std::int64_t before = steady_ns();
  const SameInstant found = clock_of_lead(world());
  EXPECT_GE(found.mine, before);
  EXPECT_LE(found.mine, steady_ns());
  // However long messages took here, they cannot tell the clocks apart.
  EXPECT_EQ(found.offset(), 0);
}

TEST(ClockAlignment, SpansOfACollectiveOverlapOnTheLeadsClock) {
  const SameInstant clock = clock_of_lead(world());
  const ClockLine line(clock, clock);
  const std::int64_t entered = line.theirs_at(steady_ns());
  world().barrier();
  const std::int64_t left = line.theirs_at(steady_ns());
  // Nobody leaves a barrier before the last has come.
  for (const std::int64_t theirs : world().all_gather(entered)) EXPECT_LE(theirs, left);
}

}  // namespace
}  // namespace dovetail
