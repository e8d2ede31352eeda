// How ranks sum their gradients: overlapped or not, in any buckets, in chunks that make the weights
// the same on any number of ranks, and compressed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/zoo.hpp"
#include "plan/fixture.hpp"
#include "support/error.hpp"
#include "train/spots.hpp"
#include "train/trainer.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;
using testing::world;

class SumsTest : public ::testing::Test {
 protected:
  TrainSettings settings(const char* model, const std::string& out) const {
    TrainSettings settings = folder_.settings(1, out);
    settings.model = model;
    settings.optimizer.momentum = 0.9f;
    settings.steps = 12;  // beyond an epoch's uneven end: 150 samples
    settings.bucket_bytes = 16 << 10;
    return settings;
  }

  static TrainResult train(Communicator& ranks, const TrainSettings& settings,
                           Json* communication = nullptr) {
    ShardReader train_set(settings.data, "train", {.seed = settings.seed}),
        test_set(settings.data, "test");
    std::optional<RunLog> log;
    if (ranks.is_lead()) log.emplace(settings.out / "run.jsonl", settings.resume);
    Trainer trainer(ranks, testing::test_device(), settings,
                    make_model(settings.model, {1, 12, 12}, 10, settings.quantisation), train_set,
                    test_set, nullptr, log ? &*log : nullptr);
    TrainResult result = trainer.run();
    if (communication) *communication = trainer.communication();
    return result;
  }

  /// The first `count` ranks train; all get the sum of their weights.
  static std::string sha_of(int count, const TrainSettings& settings) {
    auto ranks = world().split(world().rank() < count ? std::optional(0) : std::nullopt, 0);
    std::string sha;
    if (ranks) sha = train(*ranks, settings).weights_sha256;
    world().broadcast_text(sha, 0);
    return sha;
  }

  testing::SpotsFolder folder_;
};

TEST_F(SumsTest, OverlapBucketsAndSharedMemoryChangeNoBit) {
  const std::string expected = train(world(), settings("cnn", "usual")).weights_sha256;
  int number = 0;
  const auto run = [&](const auto& change) {
    TrainSettings other = settings("cnn", fmt::format("other{}", number++));
    change(other);
    return train(world(), other).weights_sha256;
  };
  EXPECT_EQ(run([](TrainSettings& s) { s.overlap = false; }), expected);
  EXPECT_EQ(run([](TrainSettings& s) { s.bucket_bytes = 0; }), expected);
  EXPECT_EQ(run([](TrainSettings& s) { s.bucket_bytes = 1 << 10; }), expected);
  EXPECT_EQ(run([](TrainSettings& s) { s.ranks_per_group = 1; }), expected);
  EXPECT_EQ(run([](TrainSettings& s) {
              s.ranks_per_group = 1;
              s.overlap = false;
              s.bucket_bytes = 0;
            }),
            expected);
}

TEST_F(SumsTest, SaysHowMuchWasHidden) {
  for (const bool overlap : {true, false}) {
    TrainSettings run = settings("cnn", overlap ? "hidden" : "exposed");
    run.overlap = overlap;
    Json seconds;
    const TrainResult result = train(world(), run, &seconds);
    EXPECT_GT(result.buckets, 2u);
    if (world().size() == 1) {  // there is nothing to sum
      EXPECT_EQ(seconds.at("seconds"), 0);
      EXPECT_EQ(seconds.at("exposed_seconds"), 0);
      continue;
    }
    EXPECT_GT(seconds.at("seconds").get<double>(), 0);
    EXPECT_GT(seconds.at("exposed_seconds").get<double>(), 0);
    if (overlap) {
      EXPECT_LE(seconds.at("exposed_seconds"), seconds.at("seconds"));
    } else {
      EXPECT_EQ(seconds.at("exposed_seconds"), seconds.at("seconds"));
    }
  }
}

struct Case {
  const char* model;
  OptimizerKind optimizer;
  int batch;
  const char* qat = nullptr;
  ComputeFormat format = ComputeFormat::float32;

  void apply_to(TrainSettings& run) const {
    run.optimizer.kind = optimizer;
    run.batch = batch;
    run.chunks = 4;
    run.format = format;
    if (qat) run.quantisation = Quantisation{.format = qat};
    if (batch == 37) run.steps = 7;
  }
};

// Batches of 37 leave two samples for the epoch's last step: two of its chunks are empty.
const std::vector<Case> chunked_cases{
    {"mlp", OptimizerKind::sgd, 16},
    {"cnn", OptimizerKind::sgd, 37},
    {"sfc", OptimizerKind::adam, 16, "w4a4"},
    {"mlp", OptimizerKind::sgd, 37, nullptr, ComputeFormat::fp16}};

TEST_F(SumsTest, DeterministicWeightsAreThoseOfAnyNumberOfRanks) {
  for (const Case& each : chunked_cases) {
    SCOPED_TRACE(each.model);
    TrainSettings run = settings(each.model, "deterministic");
    each.apply_to(run);
    const std::string expected = sha_of(1, run);
    EXPECT_EQ(sha_of(world().size(), run), expected);
    run.overlap = false;
    run.bucket_bytes = 0;
    EXPECT_EQ(sha_of(world().size(), run), expected);
    if (world().size() > 2) {
      EXPECT_EQ(sha_of(2, run), expected);
    }
    run.overlap = true;
    run.ranks_per_group = 1;
    EXPECT_EQ(sha_of(world().size(), run), expected);
  }
}

TEST_F(SumsTest, DeterministicRunsGoOnWithAnotherNumberOfRanks) {
  const int all = world().size();
  std::vector<std::pair<int, int>> changes{{1, all}, {all, 1}};
  if (all > 2) changes.insert(changes.end(), {{2, all}, {all, 2}});
  for (const Case& each : chunked_cases) {
    SCOPED_TRACE(each.model);
    TrainSettings whole = settings(each.model, "whole");
    each.apply_to(whole);
    const std::string expected = sha_of(1, whole);
    bool overlap = false;
    for (const auto& [before, after] : changes) {
      SCOPED_TRACE(fmt::format("{} ranks, then {}", before, after));
      TrainSettings cut = whole;
      cut.out = settings(each.model, "cut").out;
      cut.steps = 3;  // within the epoch
      cut.overlap = overlap;
      sha_of(before, cut);
      cut.steps = whole.steps;
      cut.resume = true;
      overlap = cut.overlap = !overlap;
      EXPECT_EQ(sha_of(after, cut), expected);
    }
  }
}

TEST_F(SumsTest, ResumingRefusesOtherChunks) {
  TrainSettings run = settings("mlp", "chunks");
  run.chunks = 4;
  run.steps = 2;
  train(world(), run);
  run.resume = true;
  run.chunks = 0;
  // Only the lead reads the checkpoint, so in a job of several ranks its failure ends the others.
  if (world().size() > 1) return;
  try {
    train(world(), run);
    FAIL() << "went on";
  } catch (const UsageError& failure) {
    EXPECT_THAT(failure.what(),
                ::testing::HasSubstr("was trained with --deterministic --chunks 4"));
  }
}

TEST_F(SumsTest, CompressedGradientsTrainAsWell) {
  for (const Compression each : {Compression::bf16, Compression::fp16, Compression::int8}) {
    TrainSettings run = settings("mlp", to_string(each));
    run.compression = each;
    run.ranks_per_group = 1;
    run.steps = 60;
    const TrainResult result = train(world(), run);
    EXPECT_GT(result.test_accuracy, 0.9) << to_string(each);
    EXPECT_EQ(result.groups, world().size());
  }
}

TEST_F(SumsTest, CompressedRunsGoOnAsIfNeverStopped) {
  for (const Compression each : {Compression::bf16, Compression::fp16, Compression::int8}) {
    for (const int ranks_per_group : {1, 2}) {
      SCOPED_TRACE(fmt::format("{}, groups of {}", to_string(each), ranks_per_group));
      TrainSettings whole = settings("cnn", "compressed");
      whole.compression = each;
      whole.ranks_per_group = ranks_per_group;
      // What is fed back is as large as the loss scale has made it.
      if (each == Compression::fp16) whole.format = ComputeFormat::fp16;
      const std::string expected = train(world(), whole).weights_sha256;
      TrainSettings cut = whole;
      cut.out = settings("cnn", "cut").out;
      cut.steps = 5;
      cut.overlap = false;
      train(world(), cut);
      cut.steps = whole.steps;
      cut.resume = true;
      cut.overlap = true;
      EXPECT_EQ(train(world(), cut).weights_sha256, expected);
    }
  }
}

}  // namespace
}  // namespace dovetail
