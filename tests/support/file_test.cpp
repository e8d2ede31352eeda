// Whole files: replaced in one step or not at all.
#include "support/file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "support/error.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

class FileTest : public ::testing::Test {
 protected:
  std::string text_of(const fs::path& path) const {
    const std::vector<unsigned char> bytes = read_file(path);
    return {bytes.begin(), bytes.end()};
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()));
  }

  ScratchFolder folder_;
};

TEST_F(FileTest, ReadsWhatWasWritten) {
  const std::string text("bytes\0\xff\n", 8);
  replace_file_text(folder_ / "a", text);
  EXPECT_EQ(text_of(folder_ / "a"), text);
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileTest, NamesTheFileThatCannotBeRead) {
  try {
    read_file(folder_ / "absent");
    FAIL() << "read a file that is not there";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::AllOf(::testing::HasSubstr("absent"),
                                               ::testing::HasSubstr("No such file")));
  }
}

TEST_F(FileTest, AWriterThatThrowsLeavesTheOldFileAlone) {
  replace_file_text(folder_ / "a", "old");
  EXPECT_THROW(replace_file(folder_ / "a",
                            [](const fs::path& aside) {
                              std::ofstream(aside) << "half of the new";
                              throw Error("no more");
                            }),
               Error);
  EXPECT_EQ(text_of(folder_ / "a"), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileTest, TheOldFileStandsUntilTheNewOneIsWhole) {
  replace_file_text(folder_ / "a", "old");
  replace_file(folder_ / "a", [&](const fs::path& aside) {
    std::ofstream(aside) << "new";
    EXPECT_EQ(text_of(folder_ / "a"), "old");
    EXPECT_EQ(aside.parent_path(), folder_.path());
  });
  EXPECT_EQ(text_of(folder_ / "a"), "new");
}

TEST_F(FileTest, AProcessThatDiesInBetweenLeavesTheOldFileAlone) {
  replace_file_text(folder_ / "a", "old");
  const pid_t child = ::fork();
  if (child == 0) {
    replace_file(folder_ / "a", [](const fs::path& aside) {
      std::ofstream(aside) << "half of the new";
      ::_exit(9);
    });
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  EXPECT_EQ(text_of(folder_ / "a"), "old");
}

TEST_F(FileTest, ADiskThatTakesNoMoreIsAnErrorThatNamesTheFile) {
  replace_file_text(folder_ / "a", "old");
  const pid_t child = ::fork();
  if (child == 0) {
    // A limit on the file size fails the write just as a full disk does.
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      replace_file_text(folder_ / "a", std::string(100000, 'x'));
    } catch (const Error& error) {
      ::_exit(std::string(error.what()).find((folder_ / "a").string()) != std::string::npos ? 7
                                                                                            : 8);
    }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(text_of(folder_ / "a"), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileTest, AFolderThatIsNotThereIsAnError) {
  EXPECT_THROW(replace_file_text(folder_ / "absent" / "a", "text"), Error);
}

TEST_F(FileTest, AFolderInTheWayIsAnErrorAndStays) {
  fs::create_directories(folder_ / "a" / "inside");
  EXPECT_THROW(replace_file_text(folder_ / "a", "text"), Error);
  EXPECT_TRUE(fs::is_directory(folder_ / "a" / "inside"));
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileTest, MakesFoldersWithTheirParents) {
  make_writable_folder(folder_ / "x" / "y");
  make_writable_folder(folder_ / "x" / "y");
  EXPECT_TRUE(fs::is_empty(folder_ / "x" / "y"));
}

TEST_F(FileTest, AFileWhereAFolderShouldBeIsAnError) {
  replace_file_text(folder_ / "a", "text");
  EXPECT_THROW(make_writable_folder(folder_ / "a"), Error);
  EXPECT_THROW(make_writable_folder(folder_ / "a" / "b"), Error);
}

TEST_F(FileTest, AnUnwritableFolderIsAnErrorWithARemedy) {
  if (::access("/proc/self", F_OK) != 0) GTEST_SKIP() << "no /proc here";
  // Nobody can make files in /proc, not even root.
  try {
    make_writable_folder("/proc/self");
    FAIL() << "wrote in /proc";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("Choose another folder"));
  }
}

}  // namespace
}  // namespace dovetail
