// Training over MPI: any number of ranks does what one rank does; stopping and resuming changes
// nothing.
#include "train/trainer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "model/zoo.hpp"
#include "plan/fixture.hpp"
#include "support/error.hpp"
#include "train/spots.hpp"

namespace dovetail {
namespace {

using testing::relative_difference;
using testing::train_samples;
using testing::world;

class TrainerTest : public ::testing::Test {
 protected:
  TrainSettings settings(int epochs, const char* out) const {
    return folder_.settings(epochs, out);
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
    Trainer trainer(ranks, testing::test_device(), settings,
                    make_model("cnn", {1, 12, 12}, 10, settings.quantisation), train_set, test_set,
                    nullptr, log ? &*log : nullptr);
    return trainer.run();
  }

  testing::SpotsFolder folder_;
};

std::vector<Parameter> parameters_of(const TrainSettings& settings) {
  return load_checkpoint(settings.out / "checkpoint.h5").parameters;
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

TEST_F(TrainerTest, GradientsThatAreNotFiniteEndItAndAreNamed) {
  TrainSettings run = settings(2, "diverges");
  run.learning_rate.base = 1e30f;
  try {
    train(world(), run);
    ADD_FAILURE() << "went on";
  } catch (const Error& failure) {
    const std::string expected = fmt::format(
        "the gradient of conv1.weight is not a finite number at step 2; it comes from {}.",
        world().size() > 1 ? "all GPU ranks" : "rank 0");
    EXPECT_EQ(std::string(failure.what()).find(expected), 0u) << failure.what();
  }
}

TEST_F(TrainerTest, WhereTheImagesAreKeptChangesNothing) {
  struct Case {
    std::size_t chunks;
    const char* augmentation;
    ComputeFormat format;
  };
  for (const Case& of :
       {Case{0, "crop=2,flip,erase=3", ComputeFormat::float32},
        Case{4, "none", ComputeFormat::float32}, Case{0, "none", ComputeFormat::fp16}}) {
    TrainSettings host = settings(2, "host");
    host.augmentation = parse_augmentation(of.augmentation);
    host.chunks = of.chunks;
    host.format = of.format;
    host.data_place = DataPlace::host;
    host.upload_way = UploadWay::in_turn;
    TrainSettings beside = host, device = host;
    beside.out = settings(2, "beside").out;
    device.out = settings(2, "device").out;
    beside.upload_way = UploadWay::overlapped;
    device.data_place = DataPlace::device;
    const TrainResult expected = train(world(), host);
    const TrainResult streamed = train(world(), beside), held = train(world(), device);
    EXPECT_FALSE(expected.data_on_device);
    EXPECT_FALSE(streamed.data_on_device);
    EXPECT_TRUE(held.data_on_device);
    EXPECT_EQ(streamed.weights_sha256, expected.weights_sha256);
    EXPECT_EQ(held.weights_sha256, expected.weights_sha256);
  }
}

TEST_F(TrainerTest, AugmentationDoesNotDependOnTheNumberOfRanks) {
  TrainSettings together = settings(1, "together"), alone = settings(1, "alone");
  together.augmentation = alone.augmentation = parse_augmentation("crop=2,flip,erase=3");
  const TrainResult result = train(world(), together);
  std::optional<Communicator> lead =
      world().split(world().is_lead() ? std::optional(0) : std::nullopt, 0);
  if (!lead) return;
  EXPECT_NEAR(result.train_loss, train(*lead, alone).train_loss, 1e-5);
  EXPECT_LT(relative_difference(parameters_of(together), parameters_of(alone)), 1e-5);
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

TEST_F(TrainerTest, EndsAfterExactlySoManySteps) {
  constexpr std::uint64_t epoch = (train_samples + 15) / 16;  // steps
  TrainSettings by_steps = settings(1, "by_steps"), by_epochs = settings(2, "by_epochs");
  by_steps.steps = 2 * epoch;  // wins over its epochs
  const TrainResult expected = train(world(), by_epochs);
  EXPECT_EQ(train(world(), by_steps).weights_sha256, expected.weights_sha256);

  by_steps.out = settings(1, "within").out;
  by_steps.steps = epoch + 3;
  by_steps.learning_rate.kind = ScheduleKind::cosine;
  const TrainResult within = train(world(), by_steps);
  EXPECT_EQ(within.steps, epoch + 3);
  EXPECT_EQ(within.epochs, 2);
  by_steps.resume = true;  // done already
  const TrainResult again = train(world(), by_steps);
  EXPECT_EQ(again.steps, epoch + 3);
  EXPECT_EQ(again.trained_samples, 0u);
  EXPECT_EQ(again.weights_sha256, within.weights_sha256);
  by_steps.learning_rate.kind = ScheduleKind::constant;
  by_steps.out = settings(1, "longer").out;
  by_steps.resume = false;
  train(world(), by_steps);
  by_steps.resume = true;  // goes on within the epoch
  by_steps.steps = 2 * epoch;
  EXPECT_EQ(train(world(), by_steps).weights_sha256, expected.weights_sha256);
}

TEST_F(TrainerTest, ValidationWithinAnEpochIsLoggedAndChangesNothing) {
  TrainSettings seen = settings(2, "seen"), unseen = settings(2, "unseen");
  seen.validate_every = 2;
  const TrainResult expected = train(world(), unseen);
  const TrainResult result = train(world(), seen);
  EXPECT_EQ(result.weights_sha256, expected.weights_sha256);
  EXPECT_EQ(result.test_accuracy, expected.test_accuracy);
  if (!world().is_lead()) return;
  constexpr std::uint64_t epoch = (train_samples + 15) / 16;
  std::vector<std::uint64_t> steps, due;
  std::ifstream log(seen.out / "run.jsonl");
  for (std::string line; std::getline(log, line);) {
    const Json event = Json::parse(line);
    if (event.at("event") != "validation") continue;
    steps.push_back(event.at("step"));
    EXPECT_GT(event.at("test_accuracy"), 0);
    EXPECT_GT(event.at("test_cross_entropy"), 0);
  }
  for (std::uint64_t step = 2; step < 2 * epoch; step += 2) {
    if (step != epoch) due.push_back(step);  // the epoch's own event has that one
  }
  EXPECT_EQ(steps, due);
}

TEST_F(TrainerTest, QuantisationAwareTrainingStopsAndResumesWithItsSteps) {
  for (const StepKind steps : {StepKind::learned, StepKind::fixed}) {
    TrainSettings whole = settings(3, steps == StepKind::learned ? "learned" : "fixed");
    TrainSettings stopped = settings(1, steps == StepKind::learned ? "learned1" : "fixed1");
    whole.quantisation = stopped.quantisation = Quantisation{"w4a4", steps};
    const TrainResult expected = train(world(), whole);
    train(world(), stopped);
    stopped.epochs = 3;
    stopped.resume = true;
    const TrainResult resumed = train(world(), stopped);
    EXPECT_EQ(resumed.weights_sha256, expected.weights_sha256);
    EXPECT_EQ(resumed.test_accuracy, expected.test_accuracy);
    EXPECT_EQ(resumed.test_cross_entropy, expected.test_cross_entropy);
    EXPECT_GT(resumed.test_accuracy, 0.3);
  }
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
