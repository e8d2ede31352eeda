// What the cache gives back, and what it makes of entries that are damaged, outdated or written by
// many at once.
#include "support/cache_folder.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "support/file.hpp"
#include "support/scoped_variable.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;
using State = CacheFolder::State;

class CacheFolderTest : public ::testing::Test {
 protected:
  fs::path folder() const { return scratch_.path() / "made" / "dovetail"; }
  std::string content() const {
    const auto bytes = read_file(cache_.file_of(label_));
    return {bytes.begin(), bytes.end()};
  }
  void overwrite(const std::string& text) {
    std::ofstream(cache_.file_of(label_), std::ios::binary) << text;
  }

  ScratchFolder scratch_;
  CacheFolder cache_{folder()};
  CacheFolder::Label label_{"choice", "dense / one card", "driver 1"};
};

TEST_F(CacheFolderTest, GivesBackWhatWasStored) {
  EXPECT_EQ(cache_.load(label_).state, State::missing);
  const std::string bytes("a\0\n\xff z\r\n", 8);
  cache_.store(label_, bytes);
  const CacheFolder::Entry entry = CacheFolder(folder()).load(label_);
  EXPECT_EQ(entry.state, State::sound);
  EXPECT_EQ(entry.bytes, bytes);
  cache_.store(label_, "");
  EXPECT_EQ(cache_.load(label_).state, State::sound);
  EXPECT_EQ(cache_.load(label_).bytes, "");
}

TEST_F(CacheFolderTest, KeepsEntriesApart) {
  CacheFolder::Label other = label_;
  other.what = "dense / another card";
  cache_.store(label_, "one");
  EXPECT_EQ(cache_.load(other).state, State::missing);
  other = label_;
  other.kind = "program";
  EXPECT_EQ(cache_.load(other).state, State::missing);
}

TEST_F(CacheFolderTest, AnotherVersionIsOutdatedAndReplaced) {
  cache_.store(label_, "old");
  CacheFolder::Label newer = label_;
  newer.version = "driver 2";
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(cache_.load(newer).state, State::outdated);
  EXPECT_EQ(cache_.load(newer).state, State::outdated);
  const std::string said = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(said.find("another version"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  cache_.store(newer, "new");
  EXPECT_EQ(cache_.load(newer).bytes, "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder()), fs::directory_iterator()), 1);
}

TEST_F(CacheFolderTest, DamageIsFoundWhereverItIs) {
  cache_.store(label_, "what took long to find out");
  const std::string sound = content();
  for (const std::size_t at : {std::size_t{2}, sound.size() / 2, sound.size() - 1}) {
    std::string bad = sound;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    overwrite(bad);
    ::testing::internal::CaptureStderr();
    const State state = cache_.load(label_).state;
    const std::string said = ::testing::internal::GetCapturedStderr();
    // A changed version is as good as another one.
    EXPECT_NE(state, State::sound) << "byte " << at;
    if (state == State::damaged) {
      EXPECT_NE(said.find(cache_.file_of(label_).string()), std::string::npos) << said;
      EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
    }
  }
  for (const std::size_t length : {std::size_t{0}, std::size_t{10}, sound.size() - 1}) {
    overwrite(sound.substr(0, length));
    EXPECT_EQ(cache_.load(label_).state, State::damaged) << length << " bytes";
  }
  overwrite("[1, 2]\nx");
  EXPECT_EQ(cache_.load(label_).state, State::damaged);
  cache_.store(label_, "anew");
  EXPECT_EQ(cache_.load(label_).bytes, "anew");
}

// Processes, as the ranks of a host are.
TEST_F(CacheFolderTest, ManyWritersLeaveOneWholeEntry) {
  constexpr int writers = 6, rounds = 40;
  const auto text_of = [](int writer) {
    return std::string(20000 + static_cast<std::size_t>(writer) * 1000,
                       static_cast<char>('a' + writer));
  };
  std::set<std::string> texts;
  for (int writer = 0; writer < writers; ++writer) texts.insert(text_of(writer));
  for (int writer = 0; writer < writers; ++writer) {
    if (::fork() != 0) continue;
    CacheFolder mine(folder());
    bool whole = true;
    for (int round = 0; round < rounds; ++round) {
      mine.store(label_, text_of(writer));
      const CacheFolder::Entry entry = mine.load(label_);
      whole = whole && entry.state == State::sound && texts.count(entry.bytes) == 1;
    }
    ::_exit(whole ? 0 : 1);
  }
  for (int writer = 0; writer < writers; ++writer) {
    int status = -1;
    ASSERT_GT(::wait(&status), 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(texts.count(cache_.load(label_).bytes), 1u);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder()), fs::directory_iterator()), 1)
      << "something was left beside the entry";
}

TEST_F(CacheFolderTest, AFolderThatCannotBeMadeIsSaidOnce) {
  std::ofstream(scratch_.path() / "made") << "a file in its place";
  ::testing::internal::CaptureStderr();
  cache_.store(label_, "x");
  cache_.store(label_, "y");
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_EQ(cache_.load(label_).state, State::missing);
}

TEST(CacheFolder, LiesWhereTheUserWantsIt) {
  {
    const ScopedVariable wanted("XDG_CACHE_HOME", "/somewhere");
    EXPECT_EQ(CacheFolder::of_user()->folder(), "/somewhere/dovetail");
  }
  const ScopedVariable ignored("XDG_CACHE_HOME", "relative"), home("HOME", "/home/somebody");
  EXPECT_EQ(CacheFolder::of_user()->folder(), "/home/somebody/.cache/dovetail");
}

}  // namespace
}  // namespace dovetail
