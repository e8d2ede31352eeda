// Faults on demand: what a failing, hanging, full, corrupting or vanishing card does, and that the
// process still ends.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "hls/card_fixture.hpp"
#include "support/clock.hpp"
#include "support/scratch_folder.hpp"

extern char** environ;

namespace dovetail::fpga {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

auto says(const std::string& part) {
  return ThrowsMessage<Error>(HasSubstr(part));
}

TEST(CardFault, FailsTheNthLaunch) {
  const ScopedVariable fault("DOVETAIL_CARD_FAULT", "fail:2");
  Card card(0, fixture_xclbin());
  VectorAddition addition(card, 16);
  addition.run();
  EXPECT_THAT([&] { addition.run(); }, says("kernel vadd failed: the card reports an error"));
  addition.run();
  EXPECT_EQ(addition.wrong(), 0);
}

TEST(CardFault, RefusesTheNthAllocation) {
  const ScopedVariable fault("DOVETAIL_CARD_FAULT", "alloc:2");
  Card card(0, fixture_xclbin());
  Kernel vadd = card.kernel("vadd");
  const Buffer first = card.allocate(64, vadd, 0);
  EXPECT_THAT([&] { card.allocate(64, vadd, 1); },
              says("allocating 64 B in HBM[1] (b of kernel vadd) failed"));
  const Buffer third = card.allocate(64, vadd, 1);
  EXPECT_EQ(third.bytes(), 64U);
}

TEST(CardFault, CorruptsTheNthReadback) {
  const ScopedVariable fault("DOVETAIL_CARD_FAULT", "corrupt:2");
  Card card(0, fixture_xclbin());
  VectorAddition addition(card, 16);
  addition.run();
  EXPECT_EQ(addition.wrong(), 0);
  EXPECT_EQ(addition.wrong(), 1);
  EXPECT_EQ(addition.wrong(), 0);
}

TEST(CardFault, LosesTheCard) {
  const ScopedVariable fault("DOVETAIL_CARD_FAULT", "gone:2");
  Card card(0, fixture_xclbin());
  VectorAddition addition(card, 16);
  addition.run();
  EXPECT_THAT([&] { addition.run(); }, says("card 0 (dovetail_emulated_card): kernel vadd failed"));
  EXPECT_THAT([&] { addition.wrong(); },
              says("card 0 (dovetail_emulated_card): reading 64 bytes failed"));
  EXPECT_THAT([&] { card.allocate(64, addition.kernel, 0); },
              says("card 0 (dovetail_emulated_card): allocating"));
}

TEST(CardFault, RefusesAListThatIsNone) {
  const ScopedVariable fault("DOVETAIL_CARD_FAULT", "explode:1");
  const std::filesystem::path xclbin = fixture_xclbin();
  EXPECT_THAT(([&] { Card(0, xclbin); }), says("opening card 0 failed"));
}

TEST(CardFault, TimesOutOnALaunchThatHangs) {
  const ScopedVariable fault("DOVETAIL_CARD_FAULT", "hang:2");
  Card card(0, fixture_xclbin(), 0.2);
  VectorAddition addition(card, 16);
  addition.run();
  const Stopwatch watch;
  EXPECT_THAT([&] { addition.run(); },
              says("card 0 (dovetail_emulated_card): kernel vadd has not returned within 0.2 s"));
  EXPECT_GE(watch.seconds(), 0.19);
  EXPECT_LT(watch.seconds(), 2);
  EXPECT_THAT([&] { addition.run(); },
              says("has not returned within 0.2 s, so kernel vadd is not started"));
}

/// The launch is found ended by its state, without anything that tells of its end.
TEST(CardFault, HearsOfALaunchThatEndsSilently) {
  const ScopedVariable fault("DOVETAIL_CARD_FAULT", "silent:1");
  Card card(0, fixture_xclbin(), 20);
  Kernel misbehave = card.kernel("misbehave");
  Buffer memory = card.allocate(4, misbehave, 0);
  const Stopwatch watch;
  EXPECT_NO_THROW(misbehave.run(memory, 3, std::int64_t{50}));
  EXPECT_LT(watch.seconds(), 10);
}

/// A clock's nanoseconds would overflow.
TEST(CardFault, TheLongestTimeoutsAreLong) {
  for (const double timeout_s : {1e10, 1e17, 1e300}) {
    Card card(0, fixture_xclbin(), timeout_s);
    Kernel misbehave = card.kernel("misbehave");
    Buffer memory = card.allocate(4, misbehave, 0);
    EXPECT_NO_THROW(misbehave.run(memory, 3, std::int64_t{50})) << timeout_s;
  }
}

TEST(CardFault, SurvivesAKernelThatReturnsTooLate) {
  Card card(0, fixture_xclbin(), 0.05);
  {
    Kernel misbehave = card.kernel("misbehave");
    Buffer memory = card.allocate(4, misbehave, 0);
    EXPECT_THAT([&] { misbehave.run(memory, 3, std::int64_t{300}); },
                says("has not returned within 0.05 s"));
  }
  // The kernel writes to its buffer and ends its command after both were given back.
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  Card again(0, fixture_xclbin());
  EXPECT_EQ(again.info().kind, DeviceKind::emulated_fpga);
}

TEST(CardFaultDeathTest, AHangingKernelDoesNotKeepTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Stopwatch watch;
  EXPECT_EXIT(
      {
        setenv("DOVETAIL_CARD_FAULT", "hang:1", 1);
        try {
          Card card(0, fixture_xclbin(), 0.2);
          VectorAddition addition(card, 16);
          addition.run();
        } catch (const Error& error) {
          std::fprintf(stderr, "%s\n", error.what());
          std::exit(3);  // with static destructors, XRT's among them
        }
      },
      testing::ExitedWithCode(3), "kernel vadd has not returned within 0.2 s");
  EXPECT_LT(watch.seconds(), 10);
}

/// What a card does until its fault holds it for good: then the process is ended from outside.
void ends_with_3_at(const char* fault, std::chrono::milliseconds limit,
                    const std::function<void()>& hangs) {
  setenv("DOVETAIL_CARD_FAULT", fault, 1);
  std::thread([limit] {
    std::this_thread::sleep_for(limit);
    ::_exit(3);
  }).detach();
  hangs();
  ::_exit(0);
}

TEST(CardFaultDeathTest, NeverReturnsFromTheNthLoadOrTransfer) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  using std::chrono::milliseconds;
  const milliseconds soon{500}, late{60'000};
  const auto add = [](int readbacks) {
    Card card(0, fixture_xclbin());
    VectorAddition addition(card, 16);
    addition.run();
    for (int i = 0; i < readbacks; ++i) addition.wrong();
  };
  const testing::ExitedWithCode hung(3), through(0);
  EXPECT_EXIT(ends_with_3_at("load:1", soon, [&] { add(0); }), hung, "");
  EXPECT_EXIT(ends_with_3_at("write:1", soon, [&] { add(0); }), hung, "");
  EXPECT_EXIT(ends_with_3_at("read:2", soon, [&] { add(2); }), hung, "");
  EXPECT_EXIT(ends_with_3_at("read:2", late, [&] { add(1); }), through, "");
}

/// Starts this program again, with `folder` for its temporary files, on some of the tests above.
pid_t start_tests(const std::filesystem::path& folder) {
  const ScopedVariable temporary("TMPDIR", folder.string());
  std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  std::string filter =
      "--gtest_filter=CardFault.FailsTheNthLaunch:CardFault.CorruptsTheNthReadback";
  std::string repeat = "--gtest_repeat=10";
  std::string brief = "--gtest_brief=1";
  char* arguments[] = {program.data(), filter.data(), repeat.data(), brief.data(), nullptr};
  pid_t child = 0;
  EXPECT_EQ(posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ), 0);
  return child;
}

TEST(CardFault, IsSeparateInEveryProcess) {
  const ScratchFolder folder;
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) children.push_back(start_tests(folder.path()));
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT_EQ(entries(folder.path()), 0);
}

}  // namespace
}  // namespace dovetail::fpga
