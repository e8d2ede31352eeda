// Whatever is wrong: one line that says what and what to do, a code other than 0, the end of the
// whole job within seconds, and an earlier checkpoint as it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "app/command.hpp"
#include "shards/hdf5.hpp"
#include "shards/shard_writer.hpp"
#include "support/file.hpp"
#include "support/json.hpp"
#include "support/random.hpp"
#include "train/checkpoint.hpp"
#include "train/scratch.hpp"

namespace dovetail::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr int unusable_arguments = 2;  // the exit code of a UsageError
constexpr int failure = 1;
constexpr double promptly_s = 10 * patience;
constexpr double patiently_s = 60 * patience;  // when a job is killed at last

Samples random_samples(const SampleShape& shape, std::size_t count) {
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

void write_data(const fs::path& folder, const SampleShape& shape) {
  write_split(folder, random_samples(shape, 120), {.split = "train", .samples_per_shard = 64});
  write_split(folder, random_samples(shape, 40), {.split = "test"});
}

void write_bytes(const fs::path& file, const std::vector<unsigned char>& bytes) {
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

void flip_a_bit_in_the_middle(const fs::path& file) {
  std::vector<unsigned char> bytes = read_file(file);
  bytes[bytes.size() / 2] ^= 4;
  write_bytes(file, bytes);
}

void change_manifest(const fs::path& folder, const std::function<void(Json&)>& change) {
  const std::vector<unsigned char> bytes = read_file(folder / "manifest.json");
  Json manifest = Json::parse(bytes);
  change(manifest);
  replace_file_text(folder / "manifest.json", manifest.dump());
}

/// A data set and a run folder with a checkpoint, made anew for every test.
class BadInput : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_.emplace("bad-input");
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

  static fs::path good() { return scratch_->path() / "data"; }
  static fs::path original() { return scratch_->path() / "trained" / "checkpoint.h5"; }
  fs::path data() const { return folder_ / "data"; }
  fs::path run() const { return folder_ / "run"; }
  fs::path checkpoint() const { return run() / "checkpoint.h5"; }

  /// Training with the checkpoint's settings, unless `others` differ.
  Words train(const Words& others = {}) const {
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

  inline static std::optional<Scratch> scratch_;
  fs::path folder_ = scratch_->path() / "case";
};

TEST_F(BadInput, UnknownWordsAreRefused) {
  refused(2, {"trian"}, unusable_arguments, {"unknown command 'trian'", "--help"});
  refused(2, train({"--model", "vggg"}), unusable_arguments, {"'vggg'", "mlp, cnn"});
  refused(2, train({"--bogus", "1"}), unusable_arguments, {"--bogus", "--help"});
  refused(2, train({"--format", "fp12"}), unusable_arguments, {"'fp12'", "float32"});
  refused(2, train({"--fpga-format", "int3"}), unusable_arguments, {"'int3'", "int8"});
  refused(2, train({"--lr-schedule", "zigzag"}), unusable_arguments, {"'zigzag'", "cosine"});
  refused(2, train({"--optimizer", "magic"}), unusable_arguments, {"'magic'", "adamw"});
  refused(2, train({"--fpga-backend", "cloud"}), unusable_arguments, {"'cloud'", "emulated"});
  refused(2, infer({"--format", "int3"}), unusable_arguments, {"'int3'", "float32, int8"});
  refused(2, infer({"--split", "valid"}), unusable_arguments, {"'valid'", "train, test"});
}

TEST_F(BadInput, UnknownWordsOutsideAJobAreRefused) {
  refused(dovetail({"shard", "--format", "tfrecord", "--images", "a", "--labels", "b", "--split",
                    "train", "--out", data()}),
          unusable_arguments, {"tfrecord", "idx"});
  refused(dovetail({"devices", "--xml"}), unusable_arguments, {"--xml", "--help"});
}

TEST_F(BadInput, NumbersThatMakeNoSenseAreRefused) {
  refused(2, train({"--batch", "0"}), unusable_arguments, {"--batch 0"});
  refused(2, train({"--batch", "many"}), unusable_arguments, {"--batch", "'many'"});
  refused(3, train({"--batch", "1", "--gpu-ranks", "2"}), unusable_arguments,
          {"--batch 1", "2 GPU ranks"});
  refused(2, train({"--epochs", "0"}), unusable_arguments, {"--epochs 0"});
  refused(2, train({"--lr", "-1"}), unusable_arguments, {"--lr -1"});
  refused(2, train({"--seed", "-1"}), unusable_arguments, {"--seed", "'-1'"});
  refused(2, train({"--fpga-timeout", "nan"}), unusable_arguments, {"--fpga-timeout nan"});
  refused(2, train({"--fpga-timeout", "inf"}), unusable_arguments, {"--fpga-timeout inf"});
}

TEST_F(BadInput, RankCountsThatDoNotAddUpAreRefused) {
  refused(3, train({"--gpu-ranks", "3", "--fpga-ranks", "3"}), unusable_arguments,
          {"3 GPU ranks and 3 FPGA ranks", "3 ranks", "mpirun -n 6"});
  refused(2, train({"--gpu-ranks", "0"}), unusable_arguments, {"no rank trains", "--gpu-ranks 1"});
  refused(2, infer({"--format", "int8", "--gpu-ranks", "1"}), unusable_arguments,
          {"int8", "--fpga-ranks 2"});
}

TEST_F(BadInput, ConfigurationFilesAreNamed) {
  const fs::path config = run() / "job.ini";
  refused(2, train({"--config", config}), unusable_arguments, {config, "cannot open"});
  replace_file_text(config, "momentun = 0.5\n");
  refused(2, train({"--config", config}), unusable_arguments, {config, "momentun"});
}

TEST_F(BadInput, MissingShards) {
  fs::remove(data() / "train-00001.h5");
  refused(3, train(), failure, {data() / "train-00001.h5", "dovetail shard"});
  fs::remove(data() / "test-00000.h5");
  refused(2, infer(), failure, {data() / "test-00000.h5", "dovetail shard"});
}

TEST_F(BadInput, EmptyShard) {
  fs::resize_file(data() / "train-00000.h5", 0);
  refused(3, train(), failure, {data() / "train-00000.h5", "empty", "dovetail shard"});
}

TEST_F(BadInput, TruncatedShards) {
  for (const char* name : {"train-00000.h5", "test-00000.h5"}) {
    fs::resize_file(data() / name, fs::file_size(data() / name) / 2);
    refused(3, train(), failure, {data() / name, "truncated", "dovetail shard"});
  }
}

TEST_F(BadInput, BitFlippedShards) {
  for (const char* name : {"train-00001.h5", "test-00000.h5"}) {
    flip_a_bit_in_the_middle(data() / name);
    refused(3, train(), failure, {data() / name, "dovetail shard"});
  }
}

TEST_F(BadInput, ShardsInEachOthersPlace) {
  write_split(data(), random_samples({1, 28, 28}, 128),
              {.split = "train", .samples_per_shard = 64});
  fs::rename(data() / "train-00000.h5", data() / "other.h5");
  fs::rename(data() / "train-00001.h5", data() / "train-00000.h5");
  fs::rename(data() / "other.h5", data() / "train-00001.h5");
  refused(2, train(), failure, {data() / "train-00000.h5", "checksum", "dovetail shard"});
}

TEST_F(BadInput, LabelsOutOfRange) {
  const fs::path shard = data() / "test-00000.h5";
  Samples samples = random_samples({1, 28, 28}, 40);
  samples.labels[7] = 10;
  hdf5::File file = hdf5::File::create(shard);
  file.write("/images", {40, 1, 28, 28}, samples.images);
  file.write("/labels", {40}, samples.labels);
  file.close();
  refused(3, train(), failure, {shard, "label 10 of sample 7", "dovetail shard"});
}

TEST_F(BadInput, ShardsOfDifferentShapes) {
  write_data(data() / "wider", {1, 28, 32});
  fs::rename(data() / "wider" / "train-00001.h5", data() / "train-00001.h5");
  refused(3, train(), failure,
          {data() / "train-00001.h5", "[56, 1, 28, 32]", "[56, 1, 28, 28]", "dovetail shard"});
}

TEST_F(BadInput, ManifestsThatDisagree) {
  change_manifest(data(), [](Json& manifest) { manifest["splits"]["train"]["samples"] = 119; });
  refused(2, train(), failure, {data() / "manifest.json", "119", "120", "dovetail shard"});
  change_manifest(data(), [](Json& manifest) {
    manifest["splits"]["train"]["samples"] = 120;
    manifest["height"] = 27;
  });
  refused(2, train(), failure, {data() / "test-00000.h5", "28, 28", "27, 28", "dovetail shard"});
}

TEST_F(BadInput, ManifestsThatAreNone) {
  replace_file_text(data() / "manifest.json", "{\"format\": ");
  refused(2, train(), failure, {data() / "manifest.json", "JSON", "dovetail shard"});
  fs::remove(data() / "manifest.json");
  refused(2, train(), failure, {data(), "manifest.json", "dovetail shard"});
}

TEST_F(BadInput, ImagesThatTheModelCannotTake) {
  fs::remove_all(data());
  write_data(data(), {1, 3, 3});
  refused(3, train({"--model", "cnn"}), unusable_arguments, {"cnn", "data set", "1x1"});
}

TEST_F(BadInput, CheckpointsOfAnotherModel) {
  refused(3, train({"--model", "cnn", "--resume"}), unusable_arguments,
          {checkpoint(), "of mlp", "not of cnn"});
  write_data(data() / "wider", {1, 28, 32});
  refused(2, infer({"--data", data() / "wider"}), unusable_arguments,
          {checkpoint(), "1x28x28", "1x28x32"});
}

/// Both ways to use a checkpoint refuse this one and leave it alone.
class BadCheckpoint : public BadInput {
 protected:
  void SetUp() override {
    BadInput::SetUp();
    fs::remove_all(bad_.parent_path());
    fs::create_directories(bad_.parent_path());
    fs::copy_file(original(), bad_);
  }
  void refused_by_both() const {
    const std::vector<unsigned char> before =
        fs::exists(bad_) ? read_file(bad_) : std::vector<unsigned char>{};
    refused(3, train({"--resume", "--out", bad_.parent_path()}), failure,
            {bad_, "undamaged checkpoint"});
    refused(2, infer({"--checkpoint", bad_}), failure, {bad_, "undamaged checkpoint"});
    if (!before.empty()) {
      EXPECT_TRUE(read_file(bad_) == before) << "it was changed";
    }
  }

  fs::path bad_ = checkpoint().parent_path().parent_path() / "bad" / "checkpoint.h5";
};

TEST_F(BadCheckpoint, Missing) {
  fs::remove(bad_);
  refused_by_both();
}

TEST_F(BadCheckpoint, Truncated) {
  fs::resize_file(bad_, fs::file_size(bad_) / 3);
  refused_by_both();
}

TEST_F(BadCheckpoint, Corrupt) {
  flip_a_bit_in_the_middle(bad_);
  refused_by_both();
}

TEST_F(BadInput, RunFoldersThatCannotBeWritten) {
  const fs::path file = run() / "a-file";
  replace_file_text(file, "in the way");
  refused(3, train({"--out", file / "run"}), failure, {file / "run", "another folder"});
  refused(2, infer({"--out", file / "predictions.h5"}), failure, {file, "another folder"});
  refused(2, infer({"--out", run()}), unusable_arguments, {run(), "predictions.h5"});
}

TEST_F(BadInput, FullDiskUnderTheRunLog) {
  fs::create_symlink("/dev/full", run() / "run.jsonl");
  refused(3, train(), failure, {run() / "run.jsonl", "No space left", "Free some"});
  // A rank alone has no number to give, but its device has a name.
  const Outcome alone = dovetail_job(1, train()).run(patiently_s);
  expect_one_line(alone, failure, {run() / "run.jsonl", "No space left", "Free some"});
  EXPECT_THAT(alone.err,
              AnyOf(HasSubstr("dovetail train: CPU "), HasSubstr("dovetail train: GPU ")));
}

TEST_F(BadInput, FullDiskUnderTheCheckpoint) {
  // A limit on a file's size fails the write as a full disk does. The checkpoint has 2.8 MB; MPI's
  // own files would not fit either, so the ranks talk through sockets.
  const Words limited{"sh", "-c", "trap '' XFSZ; ulimit -f 4000; exec \"$@\"", "sh"};
  refused(dovetail_job(2, train({"--fpga-ranks", "0"}), limited).with("OMPI_MCA_btl", "self,tcp"),
          failure, {checkpoint(), "File too large", "Free some"});
  EXPECT_EQ(std::distance(fs::directory_iterator(run()), {}), 2) << "something was left aside";
}

TEST_F(BadInput, NoOpenClPlatform) {
  refused(dovetail_job(3, train()).with("OCL_ICD_VENDORS", "/nonexistent"), failure,
          {"no OpenCL platform", "pocl-opencl-icd"});
}

/// Faults of the FPGA side. The GPU ranks may finish an epoch first and replace the checkpoint.
class BadCard : public BadInput {
 protected:
  void SetUp() override {
    if (real_folder().empty()) GTEST_SKIP() << "this build has no emulated card";
    BadInput::SetUp();
  }

  /// A folder like the emulated card's, with another file as the int8 xclbin.
  fs::path card_folder_with(const std::optional<fs::path>& xclbin) const {
    const fs::path folder = run() / "card";
    fs::create_directories(folder / "xclbin");
    fs::create_directory_symlink(real_folder() / "lib", folder / "lib");
    if (xclbin) fs::copy_file(*xclbin, folder / "xclbin" / "int8.emulated.xclbin");
    return folder;
  }
  static fs::path real_folder() { return DOVETAIL_EMULATED_CARD_FOLDER; }

  void fault_ends_the_job(const std::string& fault, const Words& words) const {
    SCOPED_TRACE(fault);
    const Outcome outcome = dovetail_job(3, train({"--fpga-timeout", "1"}))
                                .with("DOVETAIL_CARD_FAULT", fault)
                                .run(patiently_s);
    Words expected{"rank 2", "emulated FPGA", "card 0"};
    expected.insert(expected.end(), words.begin(), words.end());
    expect_one_line(outcome, failure, expected);
    EXPECT_NO_THROW(load_checkpoint(checkpoint()));
  }
};

TEST_F(BadCard, AFailedLaunchEndsTheJob) {
  fault_ends_the_job("fail:1", {"quantise_input_int8", "the card reports an error"});
}

TEST_F(BadCard, AHungKernelEndsTheJob) {
  fault_ends_the_job("hang:2", {"dense_int8 has not returned within 1 s", "Restart"});
}

TEST_F(BadCard, AFullCardEndsTheJob) {
  fault_ends_the_job("alloc:2", {"allocating", "HBM", "no room"});
}

TEST_F(BadCard, ALostCardEndsTheJob) {
  fault_ends_the_job("gone:3", {"No such device"});
}

TEST_F(BadCard, CardsThatAreNotThere) {
  refused(3, train({"--fpga-backend", "card"}), failure, {"0 cards", "--fpga-backend emulated"});
  refused(dovetail_job(3, train({"--fpga-ranks", "2"})).with("XILINX_XRT", real_folder()), failure,
          {"2 FPGA ranks", "1 card", "Ask for fewer"});
  refused(dovetail_job(3, train()).with("DOVETAIL_CARD_FOLDER", "/nonexistent"), failure,
          {"rank 2", "/nonexistent", "DOVETAIL_CARD_FOLDER"});
}

TEST_F(BadCard, MissingXclbin) {
  const fs::path folder = card_folder_with(std::nullopt);
  refused(dovetail_job(3, train()).with("DOVETAIL_CARD_FOLDER", folder), failure,
          {"rank 2", folder / "xclbin" / "int8.emulated.xclbin", "Build the project"});
}

TEST_F(BadCard, TruncatedXclbin) {
  const fs::path cut = run() / "cut.xclbin";
  fs::copy_file(real_folder() / "xclbin" / "int8.emulated.xclbin", cut);
  fs::resize_file(cut, fs::file_size(cut) / 2);
  const fs::path folder = card_folder_with(cut);
  refused(dovetail_job(3, train()).with("DOVETAIL_CARD_FOLDER", folder), failure,
          {"rank 2", folder / "xclbin" / "int8.emulated.xclbin", "damaged", "Build the project"});
}

TEST_F(BadCard, XclbinForOtherKernels) {
  const fs::path folder =
      card_folder_with(real_folder() / "xclbin" / "card_fixture.emulated.xclbin");
  refused(dovetail_job(3, train()).with("DOVETAIL_CARD_FOLDER", folder), failure,
          {"rank 2", "built for other kernels", "xclbin of the right kernel family"});
}

TEST_F(BadInput, ARankThatIsKilledEndsTheOthers) {
  // Rank 1 is killed as soon as an epoch is done; mpirun alone can say so.
  const std::string script = fmt::format(
      "if [ \"$OMPI_COMM_WORLD_RANK\" = 1 ]; then (for i in $(seq 300); do "
      "grep -qs '\"epoch\",' '{}' && kill -KILL $$ && exit; sleep 0.1; done) & fi; exec \"$@\"",
      (run() / "run.jsonl").string());
  const Outcome outcome =
      dovetail_job(3, train({"--epochs", "100000"}), {"sh", "-c", script, "sh"}).run(patiently_s);
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_LT(outcome.seconds, promptly_s);
  EXPECT_FALSE(outcome.timed_out || outcome.left_behind) << outcome.text();
  EXPECT_THAT(outcome.err, HasSubstr("signal 9")) << outcome.text();
  EXPECT_THAT(outcome.out, HasSubstr("epoch 1/100000")) << outcome.text();
  EXPECT_NO_THROW(load_checkpoint(checkpoint()));
}

}  // namespace
}  // namespace dovetail::testing
