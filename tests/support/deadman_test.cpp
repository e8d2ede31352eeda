// The deadman speaks once, when nobody has signed for long enough, and never while somebody does.
#include "support/deadman.hpp"

#include <gtest/gtest.h>

#include "support/clock.hpp"

namespace dovetail {
namespace {

void pass(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

class DeadmanTest : public ::testing::Test {
 protected:
  void sign_for(Deadman& deadman, double seconds) {
    for (const Stopwatch watch; watch.seconds() < seconds; pass(0.02)) deadman.sign();
  }
  std::atomic<int> calls_ = 0;
  std::atomic<double> seconds_ = 0;
  const std::function<void(double)> dead_ = [this](double seconds) {
    seconds_ = seconds;
    ++calls_;
  };
};

TEST_F(DeadmanTest, SpeaksOnceWhenTheSignsEnd) {
  Deadman deadman(1, dead_);
  sign_for(deadman, 1.6);
  EXPECT_EQ(calls_, 0);
  for (const Stopwatch watch; watch.seconds() < 30 && calls_ == 0;) pass(0.05);
  EXPECT_GE(seconds_, 1);
  pass(0.6);
  EXPECT_EQ(calls_, 1);
}

TEST_F(DeadmanTest, TakesAnotherTimeout) {
  Deadman deadman(0.4, dead_);
  deadman.set_timeout(3600);
  pass(1.2);
  EXPECT_EQ(calls_, 0);
  deadman.set_timeout(0.4);
  for (const Stopwatch watch; watch.seconds() < 30 && calls_ == 0;) pass(0.05);
  EXPECT_EQ(calls_, 1);
}

}  // namespace
}  // namespace dovetail
