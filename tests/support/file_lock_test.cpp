// A lock lasts as long as the process that holds it.
#include "support/file_lock.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/error.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

TEST(FileLock, RefusesASecondHolderAndNamesTheFirst) {
  const ScratchFolder folder;
  const auto path = folder / "lock";
  {
    const auto held = FileLock::take(path, "the first");
    ASSERT_TRUE(held);
    EXPECT_FALSE(FileLock::take(path, "the second"));
    EXPECT_EQ(FileLock::holder(path), "the first");
  }
  EXPECT_TRUE(FileLock::take(path, "the second"));
  EXPECT_EQ(FileLock::holder(path), "the second");
}

TEST(FileLock, AKilledHolderHoldsNothing) {
  const ScratchFolder folder;
  const auto path = folder / "lock";
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = FileLock::take(path, "child");
    static_cast<void>(!::write(ready[1], held ? "y" : "n", 1));
    ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_FALSE(FileLock::take(path, "parent"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(FileLock::take(path, "parent"));
}

TEST(FileLock, TurnsComeOneAfterTheOtherHoweverAHolderEnds) {
  const ScratchFolder scratch;
  const auto folder = scratch / "made with the first turn";
  const auto give_up = [](double, const std::string&) { return false; };
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = FileLock::await_turn(folder, "work", give_up);
    static_cast<void>(!::write(ready[1], held ? "y" : "n", 1));
    ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_FALSE(FileLock::await_turn(folder, "work", give_up));
  EXPECT_TRUE(FileLock::await_turn(folder, "other work", give_up));
  int asked = 0;
  std::string named;
  const auto turn =
      FileLock::await_turn(folder, "work", [&](double seconds, const std::string& holder) {
        if (++asked == 3) {
          ::kill(child, SIGKILL);
          ::waitpid(child, nullptr, 0);
        }
        named = holder;
        return asked < 100 && seconds >= 0;
      });
  EXPECT_TRUE(turn);
  EXPECT_GE(asked, 3);
  EXPECT_NE(named.find("process " + std::to_string(child)), std::string::npos) << named;
}

TEST(FileLock, WithoutAFolderThereAreNoTurns) {
  const auto turn = FileLock::await_turn("/proc/nonexistent", "work",
                                         [](double, const std::string&) { return true; });
  EXPECT_FALSE(turn);
}

TEST(FileLock, AFileThatCannotBeOpenedIsNamed) {
  EXPECT_THROW(FileLock::take("/nonexistent/lock", "anybody"), Error);
}

}  // namespace
}  // namespace dovetail
