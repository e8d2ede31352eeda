// Checkpoints come back as they were, and damage is noticed.
#include "train/checkpoint.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <fstream>
#include <random>

#include "model/zoo.hpp"
#include "shards/hdf5.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/random.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

Checkpoint make_checkpoint(std::uint64_t seed = 3) {
  const Model model = make_model("mlp", {1, 4, 4}, 3);
  Checkpoint checkpoint;
  checkpoint.model = "mlp";
  checkpoint.input = {1, 4, 4};
  checkpoint.classes = 3;
  checkpoint.input_statistics = {{0.25f}, {0.5f}};
  checkpoint.parameters = model.initial_parameters(seed);
  checkpoint.optimizer = OptimizerKind::adam;
  checkpoint.optimizer_state = {model.initial_parameters(seed + 1),
                                model.initial_parameters(seed + 2)};
  checkpoint.epoch = 2;
  checkpoint.step = 123;
  checkpoint.seed = 9;
  checkpoint.batch = 64;
  checkpoint.calibration = {1, 2, 3, 4, 5, 6};
  checkpoint.histograms.assign(5 * quant::Histogram::bins, 7);
  checkpoint.loss = LossKind::mean_squared_error;
  checkpoint.train_set_sha256 = "abc";
  checkpoint.recipe = "learning rate 0.1";
  checkpoint.shares = {48, 16};
  return checkpoint;
}

void expect_equal(const std::vector<Parameter>& actual, const std::vector<Parameter>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].name, expected[i].name);
    EXPECT_EQ(actual[i].value.shape, expected[i].value.shape);
    EXPECT_EQ(actual[i].value.values, expected[i].value.values);
  }
}

void expect_equal(const Checkpoint& actual, const Checkpoint& expected) {
  EXPECT_EQ(actual.model, expected.model);
  EXPECT_EQ(actual.quantisation, expected.quantisation);
  EXPECT_EQ(actual.input, expected.input);
  EXPECT_EQ(actual.classes, expected.classes);
  EXPECT_EQ(actual.input_statistics.mean, expected.input_statistics.mean);
  EXPECT_EQ(actual.input_statistics.deviation, expected.input_statistics.deviation);
  EXPECT_EQ(actual.optimizer, expected.optimizer);
  EXPECT_EQ(actual.epoch, expected.epoch);
  EXPECT_EQ(actual.step, expected.step);
  EXPECT_EQ(actual.seed, expected.seed);
  EXPECT_EQ(actual.batch, expected.batch);
  EXPECT_EQ(actual.shares, expected.shares);
  EXPECT_EQ(actual.recipe, expected.recipe);
  EXPECT_EQ(actual.calibration, expected.calibration);
  EXPECT_EQ(actual.histograms, expected.histograms);
  expect_equal(actual.parameters, expected.parameters);
  ASSERT_EQ(actual.optimizer_state.size(), expected.optimizer_state.size());
  for (std::size_t i = 0; i < actual.optimizer_state.size(); ++i) {
    expect_equal(actual.optimizer_state[i], expected.optimizer_state[i]);
  }
}

std::string failure_of(const std::filesystem::path& path) {
  try {
    load_checkpoint(path);
  } catch (const Error& failure) {
    return failure.what();
  }
  return "";
}

TEST(Checkpoint, ComesBackAsItWas) {
  const ScratchFolder folder;
  const auto path = folder / "checkpoint.h5";
  save_checkpoint(path, make_checkpoint());
  expect_equal(load_checkpoint(path), make_checkpoint());
}

TEST(Checkpoint, HoldsParametersInCanonicalLayoutByName) {
  const ScratchFolder folder;
  const auto path = folder / "checkpoint.h5";
  save_checkpoint(path, make_checkpoint());
  const hdf5::File file = hdf5::File::open(path);
  EXPECT_EQ(file.dataset("/parameters/dense1.weight").extents(), (hdf5::Extents{256, 16}));
  EXPECT_EQ(file.read<float>("/parameters/dense1.weight"),
            make_checkpoint().parameters[0].value.values);
  EXPECT_EQ(file.read_attribute<std::string>("/", "weights_sha256"),
            weights_sha256(make_checkpoint().parameters));
}

TEST(Checkpoint, MissingEmptyAndForeignFilesAreNamed) {
  const ScratchFolder folder;
  const auto path = folder / "checkpoint.h5";
  EXPECT_NE(failure_of(path).find("there is no checkpoint " + path.string()), std::string::npos);
  std::ofstream(path).close();
  EXPECT_NE(failure_of(path).find(path.string() + " cannot be used"), std::string::npos);
  hdf5::File::create(path).close();
  EXPECT_NE(failure_of(path).find("not a Dovetail checkpoint"), std::string::npos);
}

TEST(Checkpoint, TruncationAtAnyLengthIsNoticed) {
  const ScratchFolder folder;
  const auto path = folder / "checkpoint.h5";
  save_checkpoint(path, make_checkpoint());
  const auto size = std::filesystem::file_size(path);
  for (int i = 1; i <= 20; ++i) {
    std::filesystem::resize_file(path, size - size * static_cast<std::uintmax_t>(i) / 20);
    EXPECT_NE(failure_of(path), "") << "truncated by " << i << "/20";
  }
}

TEST(Checkpoint, FlippedBitsAreNoticedOrHarmless) {
  const ScratchFolder folder;
  const auto path = folder / "checkpoint.h5";
  save_checkpoint(path, make_checkpoint());
  const std::vector<unsigned char> good = read_file(path);
  const std::uint64_t seed = std::random_device{}();
  SplitMix64 random(seed);
  int noticed = 0;
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<unsigned char> bytes = good;
    const std::size_t at = random.next() % bytes.size();
    bytes[at] = static_cast<unsigned char>(bytes[at] ^ (1u << random.next() % 8));
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    try {
      expect_equal(load_checkpoint(path), make_checkpoint());  // a bit that nothing depends on
    } catch (const Error&) {
      ++noticed;
    }
    ASSERT_FALSE(HasFailure()) << "seed " << seed << ", byte " << at;
  }
  EXPECT_GT(noticed, 100);  // most of the file is tensors
}

TEST(Checkpoint, AFullDiskLeavesTheOneBefore) {
  const ScratchFolder folder;
  const auto path = folder / "checkpoint.h5";
  save_checkpoint(path, make_checkpoint());
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{
        8192, 8192};  // a file-size limit stands in for the full disk: writes fail half-way
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      save_checkpoint(path, make_checkpoint(50));
    } catch (const Error&) {
      ::_exit(7);
    }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7) << "the write should have failed with an Error";
  expect_equal(load_checkpoint(path), make_checkpoint());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1)
      << "something was left aside";
}

TEST(Checkpoint, AnotherModelIsRefused) {
  const Checkpoint checkpoint = make_checkpoint();
  EXPECT_NO_THROW(expect_model(checkpoint, make_model("mlp", {1, 4, 4}, 3), "c.h5"));
  EXPECT_THROW(expect_model(checkpoint, make_model("mlp", {1, 4, 4}, 4), "c.h5"), UsageError);
  EXPECT_THROW(expect_model(checkpoint, make_model("mlp", {1, 5, 4}, 3), "c.h5"), UsageError);
  EXPECT_THROW(expect_model(checkpoint, make_model("cnn", {1, 4, 4}, 3), "c.h5"), UsageError);
  EXPECT_THROW(
      expect_model(checkpoint, make_model("mlp", {1, 4, 4}, 3, Quantisation{.format = "w1a1"}),
                   "c.h5"),
      UsageError);
}

TEST(Checkpoint, QuantisationAwareTrainingComesBackWithItsSteps) {
  const ScratchFolder folder;
  const auto path = folder / "checkpoint.h5";
  for (const StepKind steps : {StepKind::learned, StepKind::fixed}) {
    Checkpoint checkpoint = make_checkpoint();
    checkpoint.quantisation = Quantisation{.format = "w4a4", .steps = steps};
    const Model model = model_of(checkpoint);
    checkpoint.parameters = model.initial_parameters(5);
    checkpoint.statistics = model.initial_statistics();
    checkpoint.optimizer_state = {model.initial_parameters(6), model.initial_parameters(7)};
    EXPECT_EQ(checkpoint.parameters.size(), steps == StepKind::learned ? 8u : 6u);
    EXPECT_EQ(checkpoint.statistics.size(), steps == StepKind::learned ? 0u : 2u);
    save_checkpoint(path, checkpoint);
    const Checkpoint loaded = load_checkpoint(path);
    expect_equal(loaded, checkpoint);
    expect_equal(loaded.statistics, checkpoint.statistics);
    EXPECT_NO_THROW(expect_model(loaded, model, path));
  }
}

}  // namespace
}  // namespace dovetail
