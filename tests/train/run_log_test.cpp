// run.jsonl: whole lines, in order, also after a crash.
#include "train/run_log.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "support/error.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

std::vector<Json> read_lines(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<Json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

TEST(RunLog, WritesOneObjectALine) {
  const ScratchFolder folder;
  const auto path = folder / "run.jsonl";
  RunLog log(path, false);
  log.event("start", {{"model", "cnn"}});
  log.event("end", {{"test_accuracy", 0.5}});
  const auto lines = read_lines(path);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["event"], "start");
  EXPECT_EQ(lines[0]["model"], "cnn");
  EXPECT_EQ(lines[0]["time"].get<std::string>().size(), 20u);
  EXPECT_EQ(lines[1]["test_accuracy"], 0.5);
}

TEST(RunLog, TakesPathsAndDriversTextsThatAreNotUtf8) {
  const ScratchFolder folder;
  const auto path = folder / "run.jsonl";
  RunLog(path, false).event("start", {{"data", "/data/caf\xe9"}});
  EXPECT_EQ(read_lines(path).at(0)["data"], "/data/caf\uFFFD");
}

TEST(RunLog, ResumingDropsAnUnfinishedLineAndAppends) {
  const ScratchFolder folder;
  const auto path = folder / "run.jsonl";
  { RunLog(path, false).event("start", {}); }
  std::ofstream(path, std::ios::app) << R"({"event": "st)";
  RunLog(path, true).event("resume", {});
  const auto lines = read_lines(path);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1]["event"], "resume");
}

TEST(RunLog, AFreshRunStartsAnew) {
  const ScratchFolder folder;
  const auto path = folder / "run.jsonl";
  { RunLog(path, false).event("old", {}); }
  RunLog(path, false).event("new", {});
  EXPECT_EQ(read_lines(path).size(), 1u);
}

TEST(RunLog, SaysWhenItCannotWrite) {
  EXPECT_THROW(RunLog("/nonexistent/run.jsonl", false), Error);
  RunLog full("/dev/full", true);
  EXPECT_THROW(full.event("start", {}), Error);
}

}  // namespace
}  // namespace dovetail
