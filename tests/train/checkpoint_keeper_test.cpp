// A run folder keeps its newest checkpoints and the best one, and finds one to go on from.
#include "train/checkpoint_keeper.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "model/zoo.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// Tells its step by its weights too.
Checkpoint checkpoint_of(std::uint64_t step, std::optional<double> accuracy = std::nullopt) {
  const Model model = make_model("mlp", {1, 2, 2}, 3);
  Checkpoint checkpoint;
  checkpoint.model = "mlp";
  checkpoint.input = {1, 2, 2};
  checkpoint.classes = 3;
  checkpoint.input_statistics = {{0.25f}, {0.5f}};
  checkpoint.parameters = model.initial_parameters(step);
  checkpoint.optimizer_state = {model.initial_parameters(step + 1)};
  checkpoint.step = step;
  checkpoint.steps_per_epoch = 1000;
  checkpoint.epoch_sums = {.loss_sum = 0.1 * static_cast<double>(step), .correct = 3, .samples = 7};
  checkpoint.test_accuracy = accuracy;
  return checkpoint;
}

class CheckpointKeeperTest : public ::testing::Test {
 protected:
  fs::path numbered(int step) const {
    return folder_ / "checkpoints" / fmt::format("step-{:06}.h5", step);
  }
  std::size_t count_numbered() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_ / "checkpoints"), fs::directory_iterator()));
  }
  static void damage(const fs::path& file) {
    std::vector<unsigned char> bytes = read_file(file);
    bytes[bytes.size() / 2] ^= 16;
    // In place, so that all names of the file show it.
    std::ofstream(file, std::ios::binary | std::ios::in)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  CheckpointKeeper keeper(std::size_t keep = 2, bool anew = false) const {
    return CheckpointKeeper(folder_.path(), keep, anew);
  }

  ScratchFolder folder_;
};

TEST_F(CheckpointKeeperTest, KeepsTheLastAndTheBestAsNamesOfTheSameFiles) {
  CheckpointKeeper keeper = this->keeper();
  keeper.save(checkpoint_of(10, 0.5));
  keeper.save(checkpoint_of(20, 0.9));
  keeper.save(checkpoint_of(30, 0.8));
  keeper.save(checkpoint_of(35));
  EXPECT_EQ(count_numbered(), 2u);
  EXPECT_TRUE(fs::equivalent(folder_ / "checkpoint.h5", numbered(35)));
  EXPECT_TRUE(fs::exists(numbered(30)));
  EXPECT_EQ(load_checkpoint(folder_ / "best.h5").step, 20u);
  EXPECT_EQ(load_checkpoint(folder_ / "checkpoint.h5").step, 35u);
}

TEST_F(CheckpointKeeperTest, TheBestStaysTheBestAcrossJobs) {
  keeper().save(checkpoint_of(10, 0.9));
  keeper().save(checkpoint_of(20, 0.8));
  EXPECT_EQ(load_checkpoint(folder_ / "best.h5").step, 10u);
  keeper().save(checkpoint_of(30, 0.95));
  EXPECT_EQ(load_checkpoint(folder_ / "best.h5").step, 30u);
}

TEST_F(CheckpointKeeperTest, PositionsWithinAnEpochComeBack) {
  keeper().save(checkpoint_of(7, 0.123456789));
  const CheckpointKeeper::Found found = keeper().newest();
  EXPECT_EQ(found.path, folder_ / "checkpoint.h5");
  EXPECT_EQ(found.checkpoint.steps_per_epoch, 1000u);
  EXPECT_EQ(found.checkpoint.epoch_sums.loss_sum, checkpoint_of(7).epoch_sums.loss_sum);
  EXPECT_EQ(found.checkpoint.epoch_sums.samples, 7);
  EXPECT_EQ(found.checkpoint.test_accuracy, 0.123456789);
}

TEST_F(CheckpointKeeperTest, ADamagedNewestFallsBackToTheOneBeforeAndSaysSo) {
  for (const std::uint64_t step : {10, 20}) keeper().save(checkpoint_of(step));
  damage(folder_ / "checkpoint.h5");
  ::testing::internal::CaptureStderr();
  const CheckpointKeeper::Found found = keeper().newest();
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(found.path, numbered(10));
  EXPECT_EQ(found.checkpoint.step, 10u);
  EXPECT_THAT(said, HasSubstr((folder_ / "checkpoint.h5").string()));
  EXPECT_THAT(said, HasSubstr("damaged"));
  EXPECT_THAT(said, HasSubstr("going on from the one before, " + numbered(10).string()));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1);
}

TEST_F(CheckpointKeeperTest, ATrainingThatWentBackStillKeepsItsNewest) {
  for (const std::uint64_t step : {10, 20, 30}) keeper().save(checkpoint_of(step));
  damage(folder_ / "checkpoint.h5");
  damage(numbered(20));
  EXPECT_THROW(keeper().newest(), Error);
  keeper(1).save(checkpoint_of(5));  // lower than what is there
  EXPECT_EQ(keeper().newest().checkpoint.step, 5u);
  EXPECT_TRUE(fs::exists(numbered(5)));
}

TEST_F(CheckpointKeeperTest, WhereAllAreDamagedTheNewestIsNamed) {
  for (const std::uint64_t step : {10, 20}) keeper().save(checkpoint_of(step));
  damage(folder_ / "checkpoint.h5");
  damage(numbered(10));
  try {
    keeper().newest();
    FAIL() << "found one";
  } catch (const Error& failure) {
    EXPECT_THAT(failure.what(), HasSubstr((folder_ / "checkpoint.h5").string()));
    EXPECT_THAT(failure.what(), HasSubstr("undamaged checkpoint"));
  }
}

TEST_F(CheckpointKeeperTest, TrainingAnewReplacesAnEarlierRunOnlyOnceItHasACheckpoint) {
  for (const std::uint64_t step : {10, 20}) keeper().save(checkpoint_of(step, 0.9));
  CheckpointKeeper anew = keeper(2, true);
  EXPECT_EQ(load_checkpoint(folder_ / "checkpoint.h5").step, 20u);
  anew.save(checkpoint_of(3));
  EXPECT_EQ(count_numbered(), 1u);
  EXPECT_EQ(load_checkpoint(folder_ / "checkpoint.h5").step, 3u);
  EXPECT_FALSE(fs::exists(folder_ / "best.h5"));
}

TEST_F(CheckpointKeeperTest, WhatAKilledWriterLeftAsideIsRemoved) {
  keeper().save(checkpoint_of(10));
  replace_file_text(folder_ / "checkpoints" / "step-000020.h5.123.part", "half");
  keeper();
  EXPECT_EQ(count_numbered(), 1u);
}

TEST_F(CheckpointKeeperTest, SeesWhetherAFolderHoldsAny) {
  EXPECT_FALSE(CheckpointKeeper::any_in(folder_.path()));
  EXPECT_FALSE(CheckpointKeeper::any_in(folder_ / "absent"));
  keeper().save(checkpoint_of(10));
  fs::remove(folder_ / "checkpoint.h5");
  EXPECT_TRUE(CheckpointKeeper::any_in(folder_.path()));
  EXPECT_EQ(keeper().newest().checkpoint.step, 10u);
}

}  // namespace
}  // namespace dovetail
