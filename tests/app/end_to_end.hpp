// What the tests of whole jobs share: one small data set, real where it is installed, and one
// reference run on it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "app/command.hpp"
#include "shards/hdf5.hpp"
#include "support/file.hpp"
#include "support/json.hpp"
#include "support/random.hpp"
#include "support/scratch_folder.hpp"
#include "support/text.hpp"

namespace dovetail::testing {

namespace fs = std::filesystem;

inline constexpr double job_limit_s = 60 * patience;
inline constexpr std::size_t train_samples = 600, test_samples = 200;
inline const fs::path fashion_mnist = "/usr/share/datasets/fashion-mnist";

/// IDX files of bright bars, whose height tells the class, on noise.
inline void write_bars(const fs::path& images, const fs::path& labels, std::size_t count,
                       std::uint64_t seed) {
  const auto extent = [](std::size_t value) {
    return std::string{'\0', '\0', static_cast<char>(value >> 8), static_cast<char>(value & 255)};
  };
  std::string pixels = std::string("\0\0\x08\x03", 4) + extent(count) + extent(28) + extent(28);
  std::string classes = std::string("\0\0\x08\x01", 4) + extent(count);
  SplitMix64 random(seed);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t label = random.next() % 10;
    classes += static_cast<char>(label);
    for (std::size_t pixel = 0; pixel < 28 * 28; ++pixel) {
      const bool bright = pixel / 28 / 3 == label;
      pixels += static_cast<char>(random.next() % 100 + (bright ? 100 : 0));
    }
  }
  replace_file_text(images, pixels);
  replace_file_text(labels, classes);
}

/// A finished run: what it printed and what it left in its folder.
struct FinishedRun {
  fs::path folder;
  Outcome outcome;
  std::vector<Json> events;
  Json summary;

  std::vector<Json> events_named(const std::string& name) const {
    std::vector<Json> found;
    std::copy_if(events.begin(), events.end(), std::back_inserter(found),
                 [&](const Json& event) { return event.at("event") == name; });
    return found;
  }
  /// All that training decided, without the times.
  std::vector<std::string> loss_curve() const {
    std::vector<std::string> curve;
    for (Json event : events) {
      if (event.at("event") != "epoch" && event.at("event") != "step") continue;
      event.erase("time");
      event.erase("samples_per_second");
      curve.push_back(event.dump());
    }
    return curve;
  }
  std::string weights() const { return summary.at("weights_sha256").get<std::string>(); }
};

/// One data set and one reference run for all tests of this file.
class EndToEnd : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_.emplace();
    make_data();
    reference_ = train("reference", usual());
  }
  static void TearDownTestSuite() {
    reference_ = {};
    scratch_.reset();
  }
  void SetUp() override { ASSERT_EQ(reference_.outcome.exit_code, 0) << reference_.outcome.text(); }

  static fs::path folder() { return scratch_->path(); }
  static fs::path data() { return folder() / "data"; }
  static Words usual(int epochs = 2, int seed = 7) {
    return {
        "--model",           "mlp", "--batch", "20", "--epochs", std::to_string(epochs), "--seed",
        std::to_string(seed)};
  }
  static Words ranks() { return has_card() ? Words{"--fpga-ranks", "1"} : Words{}; }
  static bool has_card() { return !std::string(DOVETAIL_EMULATED_CARD_FOLDER).empty(); }

  static FinishedRun train(const std::string& name, const Words& options,
                           const Words& launcher = {}) {
    FinishedRun run;
    run.folder = folder() / name;
    Words words{"train", "--data", data(), "--out", run.folder};
    words.insert(words.end(), options.begin(), options.end());
    for (const std::string& word : ranks()) words.push_back(word);
    run.outcome = dovetail_job(has_card() ? 3 : 2, words, launcher).run(job_limit_s);
    if (run.outcome.exit_code != 0) return run;
    std::ifstream log(run.folder / "run.jsonl");
    for (std::string line; std::getline(log, line);) run.events.push_back(Json::parse(line));
    run.summary = Json::parse(read_file(run.folder / "summary.json"));
    return run;
  }

  /// Predictions of the reference run's checkpoint, by `count` ranks (1: without mpirun).
  static hdf5::File infer(int count, const std::string& format,
                          const std::string& calibration = "max") {
    const fs::path out = folder() / fmt::format("{}-{}-{}.h5", format, count, calibration);
    const Words words{"infer",         "--checkpoint", reference_.folder / "checkpoint.h5",
                      "--data",        data(),         "--format",
                      format,          "--out",        out,
                      "--calibration", calibration};
    const Outcome outcome =
        (count == 1 ? dovetail(words) : dovetail_job(count, words)).run(job_limit_s);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.text();
    return hdf5::File::open(out);
  }
  static std::vector<std::int32_t> labels() {
    return hdf5::File::open(data() / "test-00000.h5").read<std::int32_t>("/labels");
  }

  inline static FinishedRun reference_;

 private:
  static void make_data() {
    const bool real = fs::exists(fashion_mnist);
    const fs::path source = real ? fashion_mnist : folder();
    const std::string end = real ? ".gz" : "";
    for (const auto& [split, prefix, count] :
         {std::tuple("train", "train", train_samples), std::tuple("test", "t10k", test_samples)}) {
      const fs::path images = source / fmt::format("{}-images-idx3-ubyte{}", prefix, end);
      const fs::path labels = source / fmt::format("{}-labels-idx1-ubyte{}", prefix, end);
      if (!real) write_bars(images, labels, count + 50, count);
      const Outcome outcome =
          dovetail({"shard", "--format", "idx", "--images", images, "--labels", labels, "--split",
                    split, "--out", data(), "--limit", std::to_string(count)})
              .run(job_limit_s);
      ASSERT_EQ(outcome.exit_code, 0) << outcome.text();
    }
  }

  inline static std::optional<ScratchFolder> scratch_;
};

}  // namespace dovetail::testing
