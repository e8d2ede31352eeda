// The progress bar on a pseudo-terminal, and its silence elsewhere.
#include "support/progress.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "support/log.hpp"

namespace dovetail {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

/// What `draw` prints where standard output is a terminal.
template <typename Draw>
std::string on_terminal(Draw draw) {
  const int controller = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (controller < 0 || ::grantpt(controller) != 0 || ::unlockpt(controller) != 0) return "";
  const int terminal = ::open(::ptsname(controller), O_RDWR | O_NOCTTY);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(terminal, STDOUT_FILENO);
    draw();
    std::fflush(stdout);
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  ::fcntl(controller, F_SETFL, O_NONBLOCK);
  std::string text;
  char piece[4096];
  for (ssize_t got = 0; (got = ::read(controller, piece, sizeof piece)) > 0;) {
    text.append(piece, static_cast<std::size_t>(got));
  }
  ::close(terminal);
  ::close(controller);
  return text;
}

void wait_for_the_next_drawing() {
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
}

TEST(Progress, DrawsABarWithRateTimeLeftAndRemark) {
  const std::string text = on_terminal([] {
    Progress progress("epoch 1/3", 1000, "samples");
    wait_for_the_next_drawing();
    progress.update(500, "loss 0.412");
  });
  EXPECT_THAT(text, AllOf(HasSubstr("epoch 1/3"), HasSubstr(" 50 %"), HasSubstr("samples/s"),
                          HasSubstr("0 s left"), HasSubstr("loss 0.412"),
                          HasSubstr("████████████░░░░░░░░░░░░")));
}

TEST(Progress, TellsMinutesFromSeconds) {
  const std::string text = on_terminal([] {
    Progress progress("long", 1000000, "steps");
    wait_for_the_next_drawing();
    progress.update(100, "");
  });
  EXPECT_THAT(text, ::testing::ContainsRegex("[0-9]+:[0-9][0-9] min left"));
}

TEST(Progress, DrawsAtMostTenTimesASecond) {
  const std::string text = on_terminal([] {
    Progress progress("fast", 1000, "steps");
    for (std::size_t i = 0; i < 1000; ++i) progress.update(i, "");
  });
  EXPECT_EQ(text, "");
}

TEST(Progress, ClearTakesTheBarAway) {
  const std::string text = on_terminal([] {
    Progress progress("title", 10, "steps");
    wait_for_the_next_drawing();
    progress.update(20, "");  // more than the total must not upset it
    progress.clear();
    progress.clear();
  });
  EXPECT_THAT(text, AllOf(HasSubstr("title"), EndsWith("\r\033[K")));
}

TEST(Progress, IsSilentWhereQuietOrEmpty) {
  const auto draw = [](bool quiet, std::size_t total) {
    return on_terminal([=] {
      log::set_quiet(quiet);
      Progress progress("title", total, "steps");
      wait_for_the_next_drawing();
      progress.update(1, "");
      progress.clear();
    });
  };
  EXPECT_EQ(draw(true, 10), "");
  EXPECT_EQ(draw(false, 0), "");
}

TEST(Progress, ShortWorkPrintsNothingIntoAFile) {
  ::testing::internal::CaptureStdout();
  Progress progress("title", 10, "steps");
  wait_for_the_next_drawing();
  progress.update(5, "");
  progress.clear();
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

}  // namespace
}  // namespace dovetail
