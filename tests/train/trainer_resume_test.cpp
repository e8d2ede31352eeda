// A training that is stopped anywhere and resumed ends as if it had never stopped; one that breaks
// says where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <random>

#include "model/zoo.hpp"
#include "plan/fixture.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/stop_signal.hpp"
#include "train/spots.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::world;

constexpr std::uint64_t steps_per_epoch = 10;  // 150 samples in steps of 16

class ResumeTest : public ::testing::Test {
 protected:
  struct Case {
    const char* model;
    OptimizerKind optimizer;
    const char* qat = nullptr;
    std::optional<UploadWay> way{};
  };

  TrainSettings settings(const Case& of, const std::string& out, int epochs = 2) const {
    TrainSettings settings = folder_.settings(epochs, out);
    settings.model = of.model;
    settings.optimizer.kind = of.optimizer;
    settings.optimizer.momentum = 0.9f;
    settings.upload_way = of.way;
    if (of.qat) settings.quantisation = Quantisation{.format = of.qat};
    return settings;
  }

  static TrainResult train(const TrainSettings& settings,
                           const std::optional<fs::path>& other_data = std::nullopt) {
    const fs::path data = other_data.value_or(settings.data);
    ShardReader train_set(data, "train", {.seed = settings.seed}), test_set(data, "test");
    std::optional<RunLog> log;
    if (world().is_lead()) log.emplace(settings.out / "run.jsonl", settings.resume);
    Trainer trainer(world(), testing::test_device(), settings,
                    make_model(settings.model, {1, 12, 12}, 10, settings.quantisation), train_set,
                    test_set, nullptr, log ? &*log : nullptr);
    return trainer.run();
  }

  static fs::path numbered(const TrainSettings& settings, std::uint64_t step) {
    return settings.out / "checkpoints" / fmt::format("step-{:06}.h5", step);
  }

  /// Resumes a run from its checkpoint of `step`, in another folder.
  TrainResult resumed_from(const TrainSettings& whole, std::uint64_t step) const {
    TrainSettings settings = whole;
    settings.out = whole.out.string() + fmt::format("-{}", step);
    settings.resume = true;
    settings.checkpoint_steps = 0;
    if (world().is_lead()) {
      fs::create_directories(settings.out);
      fs::copy_file(numbered(whole, step), settings.out / "checkpoint.h5");
    }
    world().barrier();
    return train(settings);
  }

  static void expect_same(const TrainResult& actual, const TrainResult& expected) {
    EXPECT_EQ(actual.weights_sha256, expected.weights_sha256);
    EXPECT_EQ(actual.steps, expected.steps);
    EXPECT_EQ(actual.epochs, expected.epochs);
    EXPECT_EQ(actual.train_loss, expected.train_loss);
    EXPECT_EQ(actual.test_accuracy, expected.test_accuracy);
    EXPECT_EQ(actual.test_cross_entropy, expected.test_cross_entropy);
  }

  void expect_exact(const Case& of, const std::string& name,
                    const std::vector<std::uint64_t>& steps, int epochs = 2) const {
    TrainSettings whole = settings(of, name, epochs);
    whole.checkpoint_steps = steps.size() == 1 ? steps.front() : 1;
    whole.keep_checkpoints = 2 * steps_per_epoch;
    const TrainResult expected = train(whole);
    for (const std::uint64_t step : steps) {
      SCOPED_TRACE(fmt::format("{} from step {}", name, step));
      expect_same(resumed_from(whole, step), expected);
    }
  }

  /// The data set with a mean of 0 and a deviation of 1, but for the last rank with these.
  fs::path data_with_other_statistics(double mean, double deviation) const {
    const bool is_last = world().rank() == world().size() - 1;
    const fs::path copies = folder_.data().parent_path();
    for (const bool last : {false, true}) {
      if (!world().is_lead()) break;
      const fs::path copy = copies / (last ? "last" : "others");
      fs::copy(folder_.data(), copy);
      const std::vector<unsigned char> bytes = read_file(copy / "manifest.json");
      Json manifest = Json::parse(bytes);
      manifest["mean"] = Json::array({last ? mean : 0});
      manifest["std"] = Json::array({last ? deviation : 1});
      replace_file_text(copy / "manifest.json", manifest.dump());
    }
    world().barrier();
    return copies / (is_last ? "last" : "others");
  }

  testing::SpotsFolder folder_;
};

TEST_F(ResumeTest, MlpWithMomentumGoesOnWithinAnEpoch) {
  expect_exact({"mlp", OptimizerKind::sgd}, "mlp", {1, 10, 13, 19});
}

TEST_F(ResumeTest, CnnWithAdamGoesOnWithinAnEpoch) {
  expect_exact({"cnn", OptimizerKind::adam}, "cnn", {9, 14});
}

// A rank that trains alone has sent the samples of several steps together.
TEST_F(ResumeTest, SamplesThatAreSentAheadGoOnWithinAnEpoch) {
  expect_exact({"mlp", OptimizerKind::sgd, nullptr, UploadWay::overlapped}, "sent", {3, 10, 16});
}

TEST_F(ResumeTest, BatchNormsGoOnWithTheirRunningStatistics) {
  expect_exact({"vgg-small", OptimizerKind::adamw}, "vgg", {7}, 1);
}

TEST_F(ResumeTest, QuantisedActivationsGoOnWithTheirSteps) {
  expect_exact({"sfc", OptimizerKind::adam, "w4a4"}, "qat", {14});
}

TEST_F(ResumeTest, ATrainingThatIsStoppedAfterEveryStepIsTheSame) {
  const Case of{"mlp", OptimizerKind::sgd};
  const TrainResult expected = train(settings(of, "undisturbed"));
  TrainSettings stopped = settings(of, "stopped");
  for (std::uint64_t step = 1;; ++step) {
    const StopSignal signals;
    // One rank alone is asked; all of them stop.
    if (world().rank() == world().size() - 1) std::raise(SIGUSR1);
    const TrainResult result = train(stopped);
    // Resumed at an epoch's end, a job finishes the epoch before it takes its one step.
    if (!result.interrupted) {
      expect_same(result, expected);
      EXPECT_GE(step, 2 * steps_per_epoch);
      break;
    }
    ASSERT_LE(step, 2 * steps_per_epoch);
    EXPECT_EQ(result.steps, step);
    stopped.resume = true;
    world().barrier();
  }
}

TEST_F(ResumeTest, AnInterruptedRunHasNoResultButACheckpoint) {
  const StopSignal signals;
  std::raise(SIGTERM);
  const TrainSettings settings = this->settings({"mlp", OptimizerKind::sgd}, "interrupted");
  const TrainResult result = train(settings);
  EXPECT_TRUE(result.interrupted);
  EXPECT_TRUE(std::isnan(result.test_accuracy));
  EXPECT_EQ(result.epochs, 0);
  world().barrier();
  const Checkpoint checkpoint = load_checkpoint(settings.out / "checkpoint.h5");
  EXPECT_EQ(checkpoint.step, 1u);
  EXPECT_EQ(weights_sha256(checkpoint.parameters), result.weights_sha256);
  EXPECT_FALSE(checkpoint.calibration.empty()) << "inference in low precision needs it";
}

TEST_F(ResumeTest, CheckpointsEachSoManyStepsAndMinutes) {
  TrainSettings each = settings({"mlp", OptimizerKind::sgd}, "each");
  each.checkpoint_steps = 4;
  each.keep_checkpoints = 100;
  train(each);
  TrainSettings often = settings({"mlp", OptimizerKind::sgd}, "often");
  often.checkpoint_minutes = 1e-9;
  often.keep_checkpoints = 100;
  train(often);
  world().barrier();
  for (std::uint64_t step = 1; step <= 2 * steps_per_epoch; ++step) {
    EXPECT_EQ(fs::exists(numbered(each, step)), step % 4 == 0 || step % steps_per_epoch == 0)
        << step;
    EXPECT_TRUE(fs::exists(numbered(often, step))) << step;
  }
}

TEST_F(ResumeTest, ADamagedNewestCheckpointCostsNothingButTime) {
  TrainSettings run = settings({"mlp", OptimizerKind::sgd}, "damaged");
  run.checkpoint_steps = 4;
  const TrainResult expected = train(run);
  world().barrier();
  if (world().is_lead()) fs::resize_file(run.out / "checkpoint.h5", 5000);
  world().barrier();
  run.resume = true;
  expect_same(train(run), expected);
}

TEST_F(ResumeTest, NanNamesLayerStepRankAndTheCheckpointFromBefore) {
  TrainSettings run = settings({"mlp", OptimizerKind::sgd}, "nan");
  run.rank_name = fmt::format("rank {} on here", world().rank());
  {
    const StopSignal signals;
    std::raise(SIGUSR1);
    train(run);
  }
  run.resume = true;
  // The last rank has other ideas of its data: a deviation so small that every pixel overflows.
  const int last = world().size() - 1;
  try {
    train(run, data_with_other_statistics(0, 1e-39));
    FAIL() << "trained on";
  } catch (const Error& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("the gradient of dense1.weight"));
    EXPECT_THAT(failure.what(), HasSubstr("at step 2; it comes from"));
    EXPECT_THAT(failure.what(), HasSubstr(fmt::format("from rank {} on here. ", last)));
    EXPECT_THAT(failure.what(),
                HasSubstr((run.out / "checkpoint.h5").string() + " is from step 1, before it"));
  }
  world().barrier();
  EXPECT_EQ(load_checkpoint(run.out / "checkpoint.h5").step, 1u);
}

TEST_F(ResumeTest, GradientsThatNoLossScaleHelpsAreNamedLikeNan) {
  TrainSettings run = settings({"mlp", OptimizerKind::sgd}, "fp16", 4);
  run.rank_name = fmt::format("rank {} on here", world().rank());
  run.steps = 1;
  train(run);
  // Weights with which the loss is finite, and gradients of the first layer are beyond fp16 even
  // times 2^-10, where pixels are below the mean; elsewhere its activations are 0.
  if (world().is_lead()) {
    Checkpoint checkpoint = load_checkpoint(run.out / "checkpoint.h5");
    std::mt19937 random(world().size());
    for (Parameter& parameter : checkpoint.parameters) {
      const bool is_first = parameter.name == "dense1.weight";
      for (float& value : parameter.value.values) {
        value = is_first                              ? -1e-6f
                : parameter.name.ends_with(".weight") ? (random() % 2 == 0 ? 6e4f : -6e4f)
                                                      : 0.0f;
      }
    }
    save_checkpoint(run.out / "checkpoint.h5", checkpoint);
  }
  world().barrier();
  run.steps = 0;
  run.format = ComputeFormat::fp16;
  run.resume = true;
  try {
    train(run, data_with_other_statistics(1, 1));
    FAIL() << "trained on";
  } catch (const Error& failure) {
    // From 2^16 on the scale halves 26 times.
    EXPECT_THAT(failure.what(),
                HasSubstr("the gradient of dense1.weight is not a finite number at step 28, "
                          "whatever the loss scale (down to 0.0009765625); it comes from rank "));
    EXPECT_THAT(failure.what(),
                HasSubstr(fmt::format("from rank {} on here. Train in bf16", world().size() - 1)));
    EXPECT_THAT(failure.what(),
                HasSubstr((run.out / "checkpoint.h5").string() + " is from step 20, before it"));
  }
  world().barrier();
  EXPECT_EQ(load_checkpoint(run.out / "checkpoint.h5").step, 20u);
}

}  // namespace
}  // namespace dovetail
