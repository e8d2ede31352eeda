// How jobs end: well, by one rank's failure while others wait, and without mpirun.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <memory>
#include <string>

#include "support/clock.hpp"

namespace {

struct Ending {
  int exit_code = -1;
  double seconds = 0;
  std::string output{};

  int count(const std::string& text) const {
    int found = 0;
    for (auto at = output.find(text); at != std::string::npos; at = output.find(text, at + 1))
      ++found;
    return found;
  }
};

Ending run(const std::string& command) {
  Ending ending;
  const dovetail::Stopwatch watch;
  FILE* pipe = popen(("env " DOVETAIL_ENVIRONMENT " " + command + " 2>&1").c_str(), "r");
  if (!pipe) return ending;
  char text[4096];
  while (const std::size_t bytes = std::fread(text, 1, sizeof text, pipe))
    ending.output.append(text, bytes);
  const int status = pclose(pipe);
  ending.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  ending.seconds = watch.seconds();
  return ending;
}

Ending run_job(int ranks, const std::string& way) {
  return run(std::string(DOVETAIL_MPIEXEC) + " -n " + std::to_string(ranks) + " " +
             DOVETAIL_ENDING_RANK + " " + way);
}

Ending run_tests(const std::string& filter) {
  return run("DOVETAIL_TEST_TIMEOUT_S=2 " DOVETAIL_MPIEXEC " -n 2 " DOVETAIL_MISBEHAVING_TESTS
             " --gtest_filter=*" +
             filter);
}

constexpr double promptly_s = 10;  // start of the job included

TEST(JobEnd, IsQuietWhenAllIsWell) {
  const Ending ending = run_job(3, "well");
  EXPECT_EQ(ending.exit_code, 0);
  EXPECT_EQ(ending.output, "all well\n");
}

TEST(JobEnd, WorksWithoutMpirun) {
  const Ending ending = run(std::string(DOVETAIL_ENDING_RANK) + " well");
  EXPECT_EQ(ending.exit_code, 0);
  EXPECT_EQ(ending.output, "all well\n");
  EXPECT_EQ(run(std::string(DOVETAIL_ENDING_RANK) + " fail-together").exit_code, 2);
}

TEST(JobEnd, AbortOfOneRankEndsTheOthersWithItsExitCode) {
  const Ending ending = run_job(3, "abort");
  EXPECT_EQ(ending.exit_code, 7);
  EXPECT_LT(ending.seconds, promptly_s);
}

TEST(JobEnd, FailureOfOneRankIsPrintedAndEndsTheOthers) {
  const Ending ending = run_job(3, "fail");
  EXPECT_EQ(ending.exit_code, 3);
  EXPECT_EQ(ending.count("rank 1: no such shard\n"), 1) << ending.output;
  EXPECT_LT(ending.seconds, promptly_s);
}

TEST(JobEnd, FailureOfAllRanksIsPrintedOnce) {
  const Ending ending = run_job(4, "fail-together");
  EXPECT_EQ(ending.exit_code, 2);
  EXPECT_EQ(ending.count("no such folder"), 1) << ending.output;
  EXPECT_LT(ending.seconds, promptly_s);
}

TEST(JobEnd, ExceptionThroughTheSessionIsPrintedAndEndsTheOthers) {
  const Ending ending = run_job(3, "throw");
  EXPECT_EQ(ending.exit_code, 5);
  EXPECT_EQ(ending.count("rank 1: thrown\n"), 1) << ending.output;
  EXPECT_LT(ending.seconds, promptly_s);
}

TEST(MpiMain, FailureOfAnotherRankIsShownAndFailsTheRun) {
  const Ending ending = run_tests("FailsOnTheLastRank");
  EXPECT_NE(ending.exit_code, 0);
  EXPECT_EQ(ending.count("[rank 1] "), 1) << ending.output;
  EXPECT_EQ(ending.count("actual: 1 vs 1"), 1) << ending.output;
}

TEST(MpiMain, RankThatLeavesATestEndsTheJobAtOnce) {
  const Ending ending = run_tests("IsLeftByTheLastRank");
  EXPECT_NE(ending.exit_code, 0);
  EXPECT_EQ(ending.count("[rank 1] has left Misbehaving.IsLeftByTheLastRank"), 1) << ending.output;
  EXPECT_EQ(ending.count("watchdog"), 0) << ending.output;
}

TEST(MpiMain, WatchdogNamesRankAndTestOfAHang) {
  const Ending ending = run_tests("HangsOnTheLastRank");
  EXPECT_NE(ending.exit_code, 0);
  EXPECT_EQ(ending.count("[rank 1] watchdog: still in Misbehaving.HangsOnTheLastRank after 2 s"), 1)
      << ending.output;
  EXPECT_LT(ending.seconds, promptly_s);
}

}  // namespace
