// The lookout looks again and again until it is told to end, and knows how long its process was
// stopped.
#include "support/lookout.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "support/clock.hpp"

namespace dovetail {
namespace {

void pass(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

TEST(LookoutTest, LooksUntilItsOwnerGoes) {
  std::atomic<int> looks = 0;
  {
    const Lookout lookout([&](Lookout::Clock::duration) {
      ++looks;
      return true;
    });
    for (const Stopwatch watch; watch.seconds() < 30 && looks < 3;) pass(0.02);
  }
  const int until_then = looks;
  EXPECT_GE(until_then, 3);
  pass(0.5);
  EXPECT_EQ(looks, until_then);
}

TEST(LookoutTest, LooksNoMoreOnceALookSaysSo) {
  std::atomic<int> looks = 0;
  const Lookout lookout([&](Lookout::Clock::duration) { return ++looks < 2; });
  for (const Stopwatch watch; watch.seconds() < 30 && looks < 2;) pass(0.02);
  pass(0.5);
  EXPECT_EQ(looks, 2);
}

TEST(LookoutTest, GoesAtOnce) {
  const Stopwatch watch;
  for (int i = 0; i < 50; ++i) const Lookout lookout([](Lookout::Clock::duration) { return true; });
  EXPECT_LT(watch.seconds(), 5);  // 10, were each to sleep until its next look
}

TEST(LookoutTest, KnowsHowLongItsProcessWasStopped) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Lookout lookout([&](Lookout::Clock::duration missed) {
      const double seconds = std::chrono::duration<double>(missed).count();
      return ::write(ends[1], &seconds, sizeof(seconds)) == sizeof(seconds);
    });
    for (;;) ::pause();
  }
  const auto next = [&] {
    double seconds = -1;
    return ::read(ends[0], &seconds, sizeof(seconds)) == sizeof(seconds) ? seconds : -1;
  };
  EXPECT_GE(next(), 0);
  ::kill(child, SIGSTOP);
  ::waitpid(child, nullptr, WUNTRACED);
  pass(3);
  ::kill(child, SIGCONT);
  double missed = next();
  for (int i = 0; i < 20 && missed == 0; ++i) missed = next();
  EXPECT_GE(missed, 2.5);
  // And that once.
  for (int i = 0; i < 20 && missed > 0; ++i) missed = next();
  EXPECT_EQ(missed, 0);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace dovetail
