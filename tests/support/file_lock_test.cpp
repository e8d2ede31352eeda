// A lock lasts as long as the process that holds it.
#include "support/file_lock.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <vector>

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

/// A process that takes a lock and holds it until it is killed; it ends with this one, too.
class Holder {
 public:
  explicit Holder(const std::function<std::optional<FileLock>()>& take) {
    int ready[2] = {}, over[2] = {};
    EXPECT_EQ(::pipe(ready), 0);
    EXPECT_EQ(::pipe(over), 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::close(over[1]);
      const auto held = take();
      char nothing = 0;
      static_cast<void>(!::write(ready[1], held ? "y" : "n", 1));
      static_cast<void>(!::read(over[0], &nothing, 1));
      ::_exit(0);
    }
    ::close(ready[1]);
    ::close(over[0]);
    over_ = over[1];
    char answer = 0;
    EXPECT_EQ(::read(ready[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    ::close(ready[0]);
  }
  ~Holder() {
    kill();
    ::close(over_);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  pid_t process() const { return child_; }
  void kill() {
    if (is_dead_) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    is_dead_ = true;
  }

 private:
  pid_t child_ = 0;
  int over_ = -1;
  bool is_dead_ = false;
};

TEST(FileLock, AKilledHolderHoldsNothing) {
  const ScratchFolder folder;
  const auto path = folder / "lock";
  Holder child([&] { return FileLock::take(path, "child"); });
  EXPECT_FALSE(FileLock::take(path, "parent"));
  child.kill();
  EXPECT_TRUE(FileLock::take(path, "parent"));
}

TEST(FileLock, TurnsComeOneAfterTheOtherHoweverAHolderEnds) {
  const ScratchFolder scratch;
  const auto folder = scratch / "made with the first turn";
  const auto give_up = [](double, const std::string&) { return false; };
  Holder child([&] { return FileLock::await_turn(folder, "work", give_up); });
  EXPECT_FALSE(FileLock::await_turn(folder, "work", give_up));
  EXPECT_TRUE(FileLock::await_turn(folder, "other work", give_up));
  int asked = 0;
  std::string named;
  const auto turn =
      FileLock::await_turn(folder, "work", [&](double seconds, const std::string& holder) {
        if (++asked == 3) child.kill();
        named = holder;
        return asked < 100 && seconds >= 0;
      });
  EXPECT_TRUE(turn);
  EXPECT_GE(asked, 3);
  EXPECT_NE(named.find("process " + std::to_string(child.process())), std::string::npos) << named;
}

TEST(FileLock, EveryHolderIsWaitedForAnew) {
  const ScratchFolder folder;
  const auto give_up = [](double, const std::string&) { return false; };
  const auto held = FileLock::await_turn(folder.path(), "work", give_up);
  ASSERT_TRUE(held);
  const auto path = std::filesystem::directory_iterator(folder.path())->path();
  std::vector<double> seconds;
  std::vector<std::string> holders;
  EXPECT_FALSE(
      FileLock::await_turn(folder.path(), "work", [&](double since, const std::string& holder) {
        seconds.push_back(since);
        holders.push_back(holder);
        if (seconds.size() == 3) std::ofstream(path) << "the next one\n";
        if (seconds.size() == 5) std::ofstream(path, std::ios::trunc);  // as while one is written
        return seconds.size() < 6;
      }));
  ASSERT_EQ(seconds.size(), 6u);
  EXPECT_EQ(seconds[0], 0);
  EXPECT_GT(seconds[2], 0);
  EXPECT_EQ(seconds[3], 0) << "the next one's time";
  EXPECT_EQ(holders[3], "the next one");
  EXPECT_GT(seconds[5], seconds[4]);
  EXPECT_EQ(holders[5], "the next one");
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
