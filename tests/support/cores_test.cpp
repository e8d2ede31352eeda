// The cores of this process.
#include "support/cores.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>

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

TEST(Cores, HalfOfARanksShareWorkBesideItsDevice) {
  const int cores = static_cast<int>(available_cores().size());
  EXPECT_EQ(threads_beside_device(1, 1000), std::max(1, cores / 2));
  EXPECT_EQ(threads_beside_device(cores, 8), 1);
  EXPECT_EQ(threads_beside_device(1, 1), 1);
}

}  // namespace
}  // namespace dovetail
