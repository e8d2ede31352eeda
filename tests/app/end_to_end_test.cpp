// The main job as a person starts it: shards, training on two GPU ranks with an FPGA rank scoring,
// resuming, and inference in both precisions, all on one small real data set.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

#include "app/command.hpp"
#include "shards/hdf5.hpp"
#include "support/file.hpp"
#include "support/json.hpp"
#include "support/random.hpp"
#include "support/scratch_folder.hpp"
#include "train/checkpoint.hpp"

namespace dovetail::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double job_limit_s = 60 * patience;
constexpr std::size_t train_samples = 600, test_samples = 200;
const fs::path fashion_mnist = "/usr/share/datasets/fashion-mnist";

/// IDX files of bright bars, whose height tells the class, on noise.
void write_bars(const fs::path& images, const fs::path& labels, std::size_t count,
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

std::size_t hits(const std::vector<std::int32_t>& predicted,
                 const std::vector<std::int32_t>& labels) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) count += predicted.at(i) == labels[i];
  return count;
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
  static hdf5::File infer(int count, const std::string& format) {
    const fs::path out = folder() / fmt::format("{}-{}.h5", format, count);
    const Words words{"infer",  "--checkpoint", reference_.folder / "checkpoint.h5",
                      "--data", data(),         "--format",
                      format,   "--out",        out};
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

TEST_F(EndToEnd, EventsTellTheRunFromStartToEnd) {
  EXPECT_EQ(reference_.events.front().at("event"), "start");
  EXPECT_EQ(reference_.events.back().at("event"), "end");
  EXPECT_EQ(reference_.events.front().at("placement").size(), has_card() ? 3u : 2u);
  EXPECT_EQ(reference_.events_named("epoch").size(), 2u);
  EXPECT_EQ(reference_.events_named("step").size(), 1u);  // one each 50 steps; here are 60
  for (const Json& event : reference_.events) EXPECT_TRUE(event.contains("time")) << event;
}

TEST_F(EndToEnd, SummaryHoldsWhatScriptsRelyOn) {
  const Json& summary = reference_.summary;
  EXPECT_EQ(summary.at("epochs"), 2);
  EXPECT_EQ(summary.at("steps"), 60);
  EXPECT_GT(summary.at("test_accuracy").get<double>(), 0.4);  // ten classes
  EXPECT_GT(summary.at("samples_per_second").get<double>(), 0);
  EXPECT_TRUE(std::isfinite(summary.at("train_loss").get<double>()));
  EXPECT_EQ(reference_.weights().size(), 64u);
  std::uint64_t trained = 0;
  for (const Json& rank : summary.at("ranks")) {
    for (const char* key : {"role", "device", "host", "samples", "seconds"})
      EXPECT_TRUE(rank.contains(key)) << key;
    if (rank.at("role") == "gpu") trained += rank.at("samples").get<std::uint64_t>();
  }
  EXPECT_EQ(trained, 2 * train_samples);
  for (const char* key : {"format", "accuracy", "evaluations", "boosted_steps", "boosted_samples",
                          "selected_samples", "late", "backend"}) {
    EXPECT_TRUE(summary.at("fpga").contains(key)) << key;
  }
}

TEST_F(EndToEnd, EveryPublishedVersionIsEvaluatedOnce) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  std::vector<std::uint64_t> published, evaluated;
  for (const Json& event : reference_.events_named("broadcast"))
    published.push_back(event.at("version"));
  for (const Json& event : reference_.events_named("evaluation")) {
    evaluated.push_back(event.at("version"));
    EXPECT_EQ(event.at("samples"), test_samples);
    EXPECT_EQ(event.at("format"), "int8");
  }
  EXPECT_THAT(published, ElementsAre(30, 60));
  EXPECT_EQ(evaluated, published);
  EXPECT_EQ(reference_.summary.at("fpga").at("evaluations").size(), 2u);
  EXPECT_EQ(reference_.summary.at("fpga").at("backend"), "emulated");
  EXPECT_EQ(reference_.summary.at("fpga").at("accuracy"),
            reference_.events_named("evaluation").back().at("accuracy"));
}

TEST_F(EndToEnd, CheckpointHoldsTheSummarysWeights) {
  const Checkpoint checkpoint = load_checkpoint(reference_.folder / "checkpoint.h5");
  EXPECT_EQ(checkpoint.epoch, 2u);
  EXPECT_EQ(checkpoint.step, 60u);
  EXPECT_EQ(weights_sha256(checkpoint.parameters), reference_.weights());
}

TEST_F(EndToEnd, OneRankTalksInPlainLines) {
  const std::string& text = reference_.outcome.out;
  EXPECT_EQ(reference_.outcome.err, "");
  EXPECT_EQ(text.find_first_of("\r\033"), std::string::npos) << text;
  std::multiset<std::string> lines;
  for (const std::string& line : lines_of(text)) {
    if (!line.empty()) lines.insert(line);
  }
  for (const std::string& line : lines) EXPECT_EQ(lines.count(line), 1u) << line;
  EXPECT_THAT(text, HasSubstr("epoch 2/2: loss "));
  EXPECT_THAT(text, HasSubstr((reference_.folder / "summary.json").string()));
}

TEST_F(EndToEnd, TheSameSeedGivesTheSameRunAlsoFromAConfigurationFile) {
  const fs::path config = folder() / "job.ini";
  replace_file_text(config, "model = mlp\nepochs = 2\nbatch = 20\nseed = 7\n");
  for (const FinishedRun& again :
       {train("again", usual()), train("configured", {"--config", config.string()})}) {
    ASSERT_EQ(again.outcome.exit_code, 0) << again.outcome.text();
    EXPECT_EQ(again.weights(), reference_.weights());
    EXPECT_EQ(again.loss_curve(), reference_.loss_curve());
  }
}

TEST_F(EndToEnd, AnotherSeedGivesAnotherRun) {
  const FinishedRun other = train("other", usual(2, 8));
  ASSERT_EQ(other.outcome.exit_code, 0) << other.outcome.text();
  EXPECT_NE(other.weights(), reference_.weights());
}

TEST_F(EndToEnd, OneEpochAndThenAnotherAreTwoAtOnce) {
  // Constant, because the cosine schedule depends on the number of epochs that were asked for.
  const auto constant = [](Words options) {
    options.insert(options.end(), {"--lr-schedule", "constant"});
    return options;
  };
  const FinishedRun at_once = train("at-once", constant(usual(2)));
  ASSERT_EQ(train("one-by-one", constant(usual(1))).outcome.exit_code, 0);
  Words further = constant(usual(2));
  further.push_back("--resume");
  const FinishedRun resumed = train("one-by-one", further);
  ASSERT_EQ(resumed.outcome.exit_code, 0) << resumed.outcome.text();
  EXPECT_EQ(resumed.weights(), at_once.weights());
  EXPECT_EQ(resumed.loss_curve(), at_once.loss_curve());
  EXPECT_EQ(resumed.events_named("start").size(), 2u);
}

TEST_F(EndToEnd, AKilledRunGoesOnAsIfNeverStopped) {
  const FinishedRun whole = train("whole", usual(10));
  const fs::path log = folder() / "killed" / "run.jsonl";
  const Words killed_after_an_epoch = {
      "sh", "-c",
      fmt::format("(for i in $(seq 1000); do grep -qs '\"epoch\",' '{}' && kill -KILL $$ && exit; "
                  "sleep 0.02; done) & exec \"$@\"",
                  log.string()),
      "sh"};
  const FinishedRun killed = train("killed", usual(10), killed_after_an_epoch);
  ASSERT_NE(killed.outcome.exit_code, 0) << killed.outcome.text();
  ASSERT_LT(load_checkpoint(folder() / "killed" / "checkpoint.h5").epoch, 10u);
  Words further = usual(10);
  further.push_back("--resume");
  const FinishedRun resumed = train("killed", further);
  ASSERT_EQ(resumed.outcome.exit_code, 0) << resumed.outcome.text();
  EXPECT_EQ(resumed.weights(), whole.weights());
  EXPECT_EQ(resumed.summary.at("test_accuracy"), whole.summary.at("test_accuracy"));
}

TEST_F(EndToEnd, CnnTrainsAndIsEvaluated) {
  const FinishedRun cnn = train("cnn", {"--model", "cnn", "--epochs", "1", "--batch", "30"});
  ASSERT_EQ(cnn.outcome.exit_code, 0) << cnn.outcome.text();
  const double accuracy = cnn.summary.at("test_accuracy").get<double>();
  EXPECT_GT(accuracy, 0.4);
  if (has_card()) {
    EXPECT_NEAR(cnn.summary.at("fpga").at("accuracy").get<double>(), accuracy, 0.03);
  }
}

TEST_F(EndToEnd, Float32PredictionsAreThoseOfTheLastValidation) {
  const hdf5::File one = infer(1, "float32");
  const hdf5::File two = infer(2, "float32");
  const auto predicted = two.read<std::int32_t>("/labels");
  EXPECT_EQ(two.dataset("/logits").extents(), (hdf5::Extents{test_samples, 10}));
  EXPECT_EQ(two.dataset("/labels").extents(), (hdf5::Extents{test_samples}));
  EXPECT_DOUBLE_EQ(static_cast<double>(hits(predicted, labels())) / test_samples,
                   reference_.summary.at("test_accuracy").get<double>());
  EXPECT_EQ(one.read<std::int32_t>("/labels"), predicted);
  EXPECT_EQ(one.read<float>("/logits"), two.read<float>("/logits"));
}

TEST_F(EndToEnd, Int8PredictionsAreThoseOfTheLastEvaluation) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  const hdf5::File file = infer(2, "int8");
  const auto predicted = file.read<std::int32_t>("/labels");
  const auto logits = file.read<float>("/logits");
  ASSERT_EQ(logits.size(), test_samples * 10);
  for (std::size_t i = 0; i < test_samples; ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i * 10);
    EXPECT_EQ(std::max_element(row, row + 10) - row, predicted[i]) << "sample " << i;
  }
  EXPECT_DOUBLE_EQ(static_cast<double>(hits(predicted, labels())) / test_samples,
                   reference_.summary.at("fpga").at("accuracy").get<double>());
}

TEST_F(EndToEnd, FourBitsAreCloseToFloat32) {
  if (!has_card()) GTEST_SKIP() << "this build has no emulated card";
  const auto predicted = infer(1, "int4").read<std::int32_t>("/labels");
  EXPECT_NEAR(static_cast<double>(hits(predicted, labels())) / test_samples,
              reference_.summary.at("test_accuracy").get<double>(), 0.05);
}

TEST_F(EndToEnd, AJobOfOneRankNeedsNoMpirun) {
  const fs::path out = folder() / "alone";
  Words words{"train", "--data", data(), "--out", out};
  for (const std::string& word : usual(1)) words.push_back(word);
  const Outcome outcome = dovetail(words).run(job_limit_s);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text();
  const Json summary = Json::parse(read_file(out / "summary.json"));
  EXPECT_EQ(summary.at("ranks").size(), 1u);
  EXPECT_EQ(summary.at("fpga").at("backend"), "none");
}

}  // namespace
}  // namespace dovetail::testing
