// What the tests of refusals share: a data set and a checkpoint to spoil, and what every refusal
// must look like.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "app/command.hpp"
#include "shards/shard_writer.hpp"
#include "support/file.hpp"
#include "support/random.hpp"
#include "support/scratch_folder.hpp"
#include "support/text.hpp"

namespace dovetail::testing {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

inline constexpr int unusable_arguments = 2;  // the exit code of a UsageError
inline constexpr int failure = 1;
inline constexpr double promptly_s = 30 * patience;
inline constexpr double patiently_s = 60 * patience;  // when a job is killed at last

inline Samples random_samples(const SampleShape& shape, std::size_t count) {
  SplitMix64 random(count);
  Samples samples;
  samples.shape = shape;
  samples.classes = 10;
  for (std::size_t i = 0; i < count; ++i) {
    samples.labels.push_back(static_cast<std::int32_t>(i % 10));
    for (std::size_t byte = 0; byte < shape.bytes(); ++byte)
      samples.images.push_back(static_cast<std::uint8_t>(random.next()));
  }
  return samples;
}

inline void write_data(const fs::path& folder, const SampleShape& shape) {
  write_split(folder, random_samples(shape, 120), {.split = "train", .samples_per_shard = 64});
  write_split(folder, random_samples(shape, 40), {.split = "test"});
}

/// A data set and a run folder with a checkpoint, made anew for every test.
class Refusal : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_.emplace();
    write_data(good(), {1, 28, 28});
    const Outcome outcome = dovetail({"train", "--data", good() / "", "--model", "mlp", "--out",
                                      original().parent_path(), "--epochs", "1", "--batch", "40",
                                      "--optimizer", "adam"})
                                .run(patiently_s);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.text();
  }
  static void TearDownTestSuite() { scratch_.reset(); }

  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(run());
    fs::copy(good(), data(), fs::copy_options::recursive);
    fs::copy_file(original(), checkpoint());
  }

  static fs::path good() { return *scratch_ / "data"; }
  static fs::path original() { return *scratch_ / "trained" / "checkpoint.h5"; }
  fs::path data() const { return folder_ / "data"; }
  fs::path run() const { return folder_ / "run"; }
  fs::path checkpoint() const { return run() / "checkpoint.h5"; }

  /// Training with the checkpoint's settings, unless `others` differ.
  Words train(Words others = {}) const {
    // The run folder has a checkpoint, which a training anew would not replace unasked.
    if (std::find(others.begin(), others.end(), "--resume") == others.end())
      others.push_back("--overwrite");
    return with_defaults({{"--data", data()},
                          {"--model", "mlp"},
                          {"--out", run()},
                          {"--epochs", "2"},
                          {"--batch", "40"},
                          {"--optimizer", "adam"}},
                         "train", others);
  }
  Words infer(const Words& others = {}) const {
    return with_defaults(
        {{"--checkpoint", checkpoint()}, {"--data", data()}, {"--out", folder_ / "predictions.h5"}},
        "infer", others);
  }

  /// Checks everything that holds for every refusal.
  static void expect_one_line(const Outcome& outcome, int exit_code, const Words& words) {
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.text();
    EXPECT_LT(outcome.seconds, promptly_s) << outcome.text();
    EXPECT_FALSE(outcome.timed_out || outcome.left_behind) << outcome.text();
    const std::vector<std::string> lines = errors_beginning(outcome, "dovetail");
    ASSERT_EQ(lines.size(), 1u) << outcome.text();
    for (const std::string& word : words) EXPECT_THAT(lines.front(), HasSubstr(word));
    EXPECT_NE(lines.front().find(". "), std::string::npos) << "no remedy: " << lines.front();
  }

  void expect_checkpoint_as_it_was() const {
    EXPECT_TRUE(read_file(checkpoint()) == read_file(original())) << "the checkpoint has changed";
  }

  void refused(const Command& command, int exit_code, const Words& words) const {
    expect_one_line(command.run(patiently_s), exit_code, words);
    expect_checkpoint_as_it_was();
  }
  void refused(int ranks, const Words& arguments, int exit_code, const Words& words) const {
    SCOPED_TRACE(fmt::format("{}", fmt::join(arguments, " ")));
    refused(dovetail_job(ranks, arguments), exit_code, words);
  }

 private:
  static Words with_defaults(const std::vector<std::pair<std::string, std::string>>& defaults,
                             const std::string& command, const Words& others) {
    Words words{command};
    for (const auto& [name, value] : defaults) {
      if (std::find(others.begin(), others.end(), name) == others.end())
        words.insert(words.end(), {name, value});
    }
    words.insert(words.end(), others.begin(), others.end());
    return words;
  }

  inline static std::optional<ScratchFolder> scratch_;
  fs::path folder_ = *scratch_ / "case";
};

}  // namespace dovetail::testing
