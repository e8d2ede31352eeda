// Whatever is wrong with what a person gives: one line that says what and what to do, a code other
// than 0, the end of the whole job within seconds, and an earlier checkpoint as it was.
#include <fstream>
#include <functional>

#include "app/refusal.hpp"
#include "shards/hdf5.hpp"
#include "support/json.hpp"

namespace dovetail::testing {
namespace {

using BadInput = Refusal;

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

TEST_F(BadInput, UnknownWordsAreRefused) {
  refused(2, {"trian"}, unusable_arguments, {"unknown command 'trian'", "--help"});
  refused(2, train({"--model", "vggg"}), unusable_arguments, {"'vggg'", "mlp, cnn"});
  refused(2, train({"--bogus", "1"}), unusable_arguments, {"--bogus", "--help"});
  refused(dovetail(train({"--format", "fp12"})), unusable_arguments, {"'fp12'", "float32"});
  refused(dovetail(train({"--fpga-format", "int8,int17"})), unusable_arguments,
          {"'int17'", "int8"});
  refused(dovetail(train({"--augment", "turn"})), unusable_arguments, {"'turn'", "flip"});
  refused(dovetail(train({"--augment", "crop=0"})), unusable_arguments, {"'crop=0'", "pixels"});
  refused(dovetail(train({"--augment", "flip", "--boost", "1/4"})), unusable_arguments,
          {"--augment with --boost", "plain images"});
  refused(dovetail(train({"--data-place", "tape"})), unusable_arguments, {"'tape'", "device"});
  refused(dovetail(train({"--boost-select", "1/0"})), unusable_arguments, {"no fraction"});
  refused(dovetail(train({"--boost-select", "2"})), unusable_arguments, {"outside (0, 1]"});
  refused(dovetail(train({"--boost-select", "1/3", "--select", "best"})), unusable_arguments,
          {"'best'", "importance"});
  refused(dovetail(train({"--boost-select", "1/3", "--select", "hard"})), unusable_arguments,
          {"collapse", "--select-insist"});
  refused(dovetail(train({"--boost-select", "1/3", "--gpu-ranks", "1"})), unusable_arguments,
          {"no FPGA rank", "--fpga-ranks 1"});
  refused(dovetail(train({"--fpga-format", "int17"})), unusable_arguments, {"'int17'", "int8"});
  refused(dovetail(train({"--lr-schedule", "zigzag"})), unusable_arguments, {"'zigzag'", "cosine"});
  refused(dovetail(train({"--optimizer", "magic"})), unusable_arguments, {"'magic'", "adamw"});
  refused(dovetail(train({"--fpga-backend", "cloud"})), unusable_arguments,
          {"'cloud'", "emulated"});
  refused(dovetail(train({"--qat", "w3a1"})), unusable_arguments, {"'w3a1'", "wXaY"});
  refused(dovetail(train({"--qat", "float16"})), unusable_arguments,
          {"quantisation-aware training", "wXaY"});
  refused(dovetail(train({"--qat", "w1a1", "--qat-scale", "frozen"})), unusable_arguments,
          {"'frozen'", "learned, fixed"});
  refused(2, infer({"--format", "int17"}), unusable_arguments, {"'int17'", "float32, int8"});
  refused(dovetail(infer({"--calibration", "median"})), unusable_arguments,
          {"'median'", "max, mse, percentile, percentile:P with P up to 100"});
  refused(dovetail(infer({"--split", "valid"})), unusable_arguments, {"'valid'", "train, test"});
}

TEST_F(BadInput, UnknownWordsOutsideAJobAreRefused) {
  refused(dovetail({"shard", "--format", "tfrecord", "--images", "a", "--labels", "b", "--split",
                    "train", "--out", data()}),
          unusable_arguments, {"tfrecord", "idx"});
  refused(dovetail({"devices", "--xml"}), unusable_arguments, {"--xml", "--help"});
}

TEST_F(BadInput, NumbersThatMakeNoSenseAreRefused) {
  refused(2, train({"--batch", "0"}), unusable_arguments, {"--batch 0"});
  refused(dovetail(train({"--batch", "many"})), unusable_arguments, {"--batch", "'many'"});
  refused(3, train({"--batch", "1", "--gpu-ranks", "2"}), unusable_arguments,
          {"--batch 1", "2 GPU ranks"});
  refused(2, train({"--epochs", "0"}), unusable_arguments, {"--epochs 0"});
  refused(dovetail(train({"--lr", "-1"})), unusable_arguments, {"--lr -1"});
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
  refused(2, infer({"--out", run() / "absent" / ""}), unusable_arguments,
          {"absent/ names no file"});
  EXPECT_FALSE(fs::exists(run() / "absent"));
  // What the job reads is never what it writes.
  refused(2, infer({"--out", run() / "checkpoint.h5"}), unusable_arguments,
          {run() / "checkpoint.h5", "is the checkpoint"});
  refused(2, infer({"--out", data() / "test-00000.h5"}), unusable_arguments,
          {data() / "test-00000.h5", "data set's folder"});
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
          failure, {run() / "checkpoints" / "step-000003.h5", "File too large", "Free some"});
  EXPECT_TRUE(fs::is_empty(run() / "checkpoints")) << "something was left aside";
}

}  // namespace
}  // namespace dovetail::testing
