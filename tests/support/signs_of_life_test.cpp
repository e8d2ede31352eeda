// Signs of life are handed over to other hosts: when a watchdog begins, at each of its beats, and
// as it ends.
#include "support/signs_of_life.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "support/clock.hpp"
#include "support/next_function.hpp"
#include "support/scratch_folder.hpp"
#include "support/watchdog.hpp"

namespace dovetail {
namespace {

/// A network file system sends what was written when a descriptor is closed that may write. Notes
/// what a reader on another host would then find.
struct Server {
  std::atomic<bool> listens = false;
  std::mutex mutex;
  std::filesystem::path folder;
  std::vector<SignOfLife> handed_over;

  void closing(int file) {
    if (!listens || (::fcntl(file, F_GETFL) & O_ACCMODE) != O_WRONLY) return;
    const std::lock_guard lock(mutex);
    std::error_code failed;
    const auto path =
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file), failed);
    if (failed || path != folder / "rank-0") return;
    if (const auto sign = read_sign(folder, 0)) handed_over.push_back(*sign);
  }
  std::vector<SignOfLife> signs() {
    const std::lock_guard lock(mutex);
    return handed_over;
  }
} server;

class SignsOfLifeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::lock_guard lock(server.mutex);
    server.folder = std::filesystem::canonical(folder_.path());
    server.handed_over.clear();
    server.listens = true;
  }
  void TearDown() override { server.listens = false; }
  ScratchFolder folder_;
};

TEST_F(SignsOfLifeTest, WhatIsHandedOverIsTheLatestAndTheFileStaysOpen) {
  const LifeWriter writer(folder_.path(), 0);
  writer.write({.beat = 1});
  EXPECT_EQ(server.signs().size(), 0);
  for (std::uint64_t beat = 2; beat < 5; ++beat) {
    writer.write({.beat = beat, .phase = "compute"});
    writer.hand_over();
    ASSERT_EQ(server.signs().size(), beat - 1);
    EXPECT_EQ(server.signs().back().beat, beat);
  }
  std::filesystem::remove(folder_.path() / "rank-0");
  EXPECT_TRUE(writer.removed());
}

TEST_F(SignsOfLifeTest, AWatchdogHandsItsSignsOver) {
  WatchdogSettings settings;
  settings.ranks = {{"rank 0 on a (CPU)", "a", this_process()}};
  settings.beat_s = 0.3;
  settings.folder = folder_.path();
  {
    const Watchdog watchdog(settings);
    EXPECT_GE(server.signs().size(), 1);
    for (const Stopwatch watch; watch.seconds() < 30 && server.signs().size() < 4;)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_GE(server.signs().size(), 4);
    EXPECT_FALSE(server.signs().back().leaving);
  }
  EXPECT_TRUE(server.signs().back().leaving);
}

}  // namespace
}  // namespace dovetail

// Stands before the C library's.
int close(int file) {
  static auto* const function = dovetail::testing::next_function("close", &close);
  dovetail::server.closing(file);
  return function(file);
}
