// Training over MPI: any number of ranks does what one rank does; stopping and resuming changes
// nothing.
#include "train/trainer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/zoo.hpp"
#include "mpi/mpi_main.hpp"
#include "plan/fixture.hpp"
#include "shards/shard_writer.hpp"
#include "support/error.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

using testing::world;

constexpr std::size_t train_samples =
    150;  // with batch 16 the last step has 6, so some of 4 ranks get two, some one
constexpr std::size_t test_samples = 37;

/// Images whose class shows as a bright spot on noise.
Samples make_samples(std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  Samples samples;
  samples.shape = {1, 12, 12};
  samples.classes = 10;
  for (std::size_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::int32_t>(random.next() % 10);
    samples.labels.push_back(label);
    for (int pixel = 0; pixel < 144; ++pixel) {
      const bool bright = pixel / 14 == label;
      samples.images.push_back(static_cast<std::uint8_t>(random.next() % 64 + (bright ? 160 : 0)));
    }
  }
  return samples;
}

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest() {
    if (world().is_lead()) {
      scratch_.emplace();
      folder_ = scratch_->path().string();
    }
    world().broadcast_text(folder_, 0);
    if (world().is_lead()) {
      write_split(data(), make_samples(train_samples, 1), {.split = "train", .name = "spots"});
      write_split(data(), make_samples(test_samples, 2), {.split = "test", .name = "spots"});
    }
    world().barrier();
  }
  ~TrainerTest() override { world().barrier(); }

  std::filesystem::path folder() const { return folder_; }
  std::filesystem::path data() const { return folder() / "data"; }

  TrainSettings settings(int epochs, const char* out) const {
    TrainSettings settings;
    settings.data = data();
    settings.out = folder() / out;
    settings.epochs = epochs;
    settings.batch = 16;
    settings.learning_rate.kind = ScheduleKind::constant;
    settings.learning_rate.base = 0.02f;
    if (world().is_lead()) std::filesystem::create_directories(settings.out);
    world().barrier();
    return settings;
  }

  TrainResult train(Communicator& ranks, const TrainSettings& settings) {
    ShardReader train_set(settings.data, "train", {.seed = settings.seed}),
        test_set(settings.data, "test");
    std::optional<RunLog> log;
    if (ranks.is_lead()) {
      log.emplace(settings.out / (world().is_lead() ? "run.jsonl"
                                                    : fmt::format("run{}.jsonl", world().rank())),
                  settings.resume);
    }
    Trainer trainer(ranks, testing::test_device(), settings, make_model("cnn", {1, 12, 12}, 10),
                    train_set, test_set, nullptr, log ? &*log : nullptr);
    return trainer.run();
  }

  std::optional<ScratchFolder> scratch_;  // the lead's, which all ranks share
  std::string folder_;
};

std::vector<Parameter> parameters_of(const TrainSettings& settings) {
  return load_checkpoint(settings.out / "checkpoint.h5").parameters;
}

double relative_difference(const std::vector<Parameter>& a, const std::vector<Parameter>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[i].value.size(); ++j) {
      const double d = static_cast<double>(a[i].value.values[j]) - b[i].value.values[j];
      difference += d * d;
      norm += static_cast<double>(b[i].value.values[j]) * b[i].value.values[j];
    }
  }
  return std::sqrt(difference / norm);
}

TEST_F(TrainerTest, AllRanksTogetherDoWhatOneRankDoes) {
  const TrainSettings together = settings(1, "together"), alone = settings(1, "alone");
  const TrainResult result = train(world(), together);
  std::optional<Communicator> lead =
      world().split(world().is_lead() ? std::optional(0) : std::nullopt, 0);
  if (lead) {
    const TrainResult expected = train(*lead, alone);
    EXPECT_NEAR(result.train_loss, expected.train_loss, 1e-5);
    EXPECT_EQ(result.steps, (train_samples + 15) / 16);
    EXPECT_LT(relative_difference(parameters_of(together), parameters_of(alone)), 1e-5);
  }
}

TEST_F(TrainerTest, LearnsAndRepeatsItself) {
  const TrainResult first = train(world(), settings(6, "first"));
  const TrainResult again = train(world(), settings(6, "again"));
  EXPECT_EQ(first.weights_sha256, again.weights_sha256);
  EXPECT_EQ(first.train_loss, again.train_loss);
  EXPECT_GT(first.test_accuracy, 0.8);
}

TEST_F(TrainerTest, StoppingAndResumingChangesNothing) {
  const TrainResult expected = train(world(), settings(3, "whole"));
  TrainSettings stopped = settings(1, "stopped");
  train(world(), stopped);
  stopped.epochs = 3;
  stopped.resume = true;
  const TrainResult resumed = train(world(), stopped);
  EXPECT_EQ(resumed.weights_sha256, expected.weights_sha256);
  EXPECT_EQ(resumed.steps, expected.steps);
  EXPECT_EQ(resumed.test_accuracy, expected.test_accuracy);
}

TEST_F(TrainerTest, ResumingAFinishedRunReportsItsResult) {
  TrainSettings finished = settings(1, "finished");
  const TrainResult expected = train(world(), finished);
  finished.resume = true;
  const TrainResult again = train(world(), finished);
  EXPECT_EQ(again.weights_sha256, expected.weights_sha256);
  EXPECT_EQ(again.test_accuracy, expected.test_accuracy);
}

TEST_F(TrainerTest, WeightsThatDivergeInTheLastStepReplaceNoCheckpoint) {
  TrainSettings one_step = settings(1, "one_step");
  one_step.batch = static_cast<int>(train_samples);
  train(world(), one_step);
  world().barrier();
  const auto good = weights_sha256(parameters_of(one_step));
  one_step.learning_rate.base = 1e38f;  // the loss of the only step is still that of the start
  EXPECT_THROW(train(world(), one_step), Error);
  world().barrier();
  EXPECT_EQ(weights_sha256(parameters_of(one_step)), good);
}

TEST_F(TrainerTest, ResumingRefusesOtherSamplesAndLosses) {
  TrainSettings other = settings(1, "other");
  train(world(), other);
  other.resume = true;
  other.loss = LossKind::mean_squared_error;
  // Only the lead reads the checkpoint, so in a job of several ranks its failure ends the others.
  if (world().size() == 1) {
    EXPECT_THROW(train(world(), other), UsageError);
  }
}

TEST_F(TrainerTest, ALearningRateThatDivergesIsReported) {
  TrainSettings wild = settings(3, "wild");
  wild.learning_rate.base = 1e30f;
  EXPECT_THROW(train(world(), wild), Error);  // on every rank: they all see the same loss
}

}  // namespace
}  // namespace dovetail
