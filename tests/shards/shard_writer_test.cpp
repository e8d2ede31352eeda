// Writing a split: contents and manifest, the second split, a split made anew, refusals, and
// nothing lost on failure.
#include "shards/shard_writer.hpp"

#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <set>

#include "shards/hdf5.hpp"
#include "shards/make_shards.hpp"
#include "shards/shard_reader.hpp"
#include "shards/test_files.hpp"
#include "support/json.hpp"

namespace dovetail {
namespace {

using test::error_of;
using test::random_samples;

using testing::ElementsAre;
using testing::HasSubstr;

std::set<std::string> files_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

Batch read_all(const fs::path& folder, const std::string& split) {
  ShardReader reader(folder, split);
  Batch batch;
  reader.read({.begin = 0, .count = reader.samples()}, batch);
  return batch;
}

TEST(ShardWriter, WritesShardsAndManifest) {
  const ScratchFolder scratch;
  const fs::path folder = scratch / "animals/";
  Samples samples = random_samples(250, {3, 5, 4});
  samples.class_names = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
  write_split(folder, samples, {.split = "train", .samples_per_shard = 100});
  EXPECT_THAT(files_in(folder),
              ElementsAre("manifest.json", "train-00000.h5", "train-00001.h5", "train-00002.h5"));
  const Manifest manifest = Manifest::load(folder);
  EXPECT_EQ(manifest.name, "animals");
  EXPECT_EQ(manifest.classes, 10u);
  EXPECT_EQ(manifest.class_names, samples.class_names);
  EXPECT_EQ(manifest.shape, samples.shape);
  EXPECT_EQ(manifest.splits.at("train").samples, 250u);
  EXPECT_EQ(manifest.splits.at("train").shards.at(2).samples, 50u);

  const hdf5::File shard = hdf5::File::open(folder / "train-00001.h5");
  const auto images = shard.read<std::uint8_t>("/images");
  EXPECT_EQ(shard.dataset("/images").extents(), (hdf5::Extents{100, 3, 5, 4}));
  EXPECT_TRUE(std::equal(images.begin(), images.end(), samples.images.begin() + 100 * 60));
  const auto labels = shard.read<std::int32_t>("/labels");
  EXPECT_TRUE(std::equal(labels.begin(), labels.end(), samples.labels.begin() + 100));
}

TEST(ShardWriter, StatisticsArePerChannelOverTheTrainSplit) {
  const ScratchFolder folder;
  Samples samples;
  samples.shape = {2, 1, 2};
  samples.images = {0, 255, 51, 51, 255, 0, 102, 102};
  samples.labels = {0, 1};
  write_split(folder.path(), samples, {.split = "train"});
  const Manifest manifest = Manifest::load(folder.path());
  EXPECT_THAT(manifest.mean, ElementsAre(testing::DoubleEq(0.5), testing::DoubleNear(0.3, 1e-15)));
  EXPECT_THAT(manifest.standard_deviation,
              ElementsAre(testing::DoubleEq(0.5), testing::DoubleNear(0.1, 1e-15)));
}

TEST(ShardWriter, SplitsShareAFolderInEitherOrder) {
  for (const bool train_first : {true, false}) {
    const ScratchFolder folder;
    const Samples train = random_samples(130, {1, 4, 4}, 1);
    const Samples test = random_samples(70, {1, 4, 4}, 2);
    for (const bool is_train : {train_first, !train_first}) {
      write_split(folder.path(), is_train ? train : test, {.split = is_train ? "train" : "test"});
    }
    EXPECT_EQ(read_all(folder.path(), "train").images, train.images);
    EXPECT_EQ(read_all(folder.path(), "train").labels, train.labels);
    EXPECT_EQ(read_all(folder.path(), "test").images, test.images);
    EXPECT_EQ(Manifest::load(folder.path()).mean.size(), 1u);
  }
}

TEST(ShardWriter, ASplitMadeAnewReplacesTheOldOne) {
  const ScratchFolder folder;
  const Samples test = random_samples(70, {1, 4, 4}, 2);
  write_split(folder.path(), random_samples(130, {1, 4, 4}, 1),
              {.split = "train", .samples_per_shard = 20});
  write_split(folder.path(), test, {.split = "test", .samples_per_shard = 20});
  const Samples other = random_samples(64, {1, 4, 4}, 3);
  write_split(folder.path(), other, {.split = "train", .samples_per_shard = 32});
  EXPECT_THAT(files_in(folder.path()),
              ElementsAre("manifest.json", "test-00000.h5", "test-00001.h5", "test-00002.h5",
                          "test-00003.h5", "train-00000.h5", "train-00001.h5"));
  EXPECT_EQ(read_all(folder.path(), "train").images, other.images);
  EXPECT_EQ(read_all(folder.path(), "test").images, test.images);
}

TEST(ShardWriter, RepairsADamagedFolder) {
  const ScratchFolder folder;
  const Samples samples = random_samples(30, {1, 4, 4});
  write_split(folder.path(), samples, {.split = "train"});
  test::write_file(folder / "manifest.json", {'{'});
  testing::internal::CaptureStderr();
  write_split(folder.path(), samples, {.split = "train"});
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("no valid JSON"));
  EXPECT_EQ(read_all(folder.path(), "train").images, samples.images);
}

TEST(ShardWriter, RefusesWhatDoesNotFit) {
  const ScratchFolder folder;
  const Samples samples = random_samples(30, {1, 4, 4});
  const auto error = [&](const Samples& given, const SplitOptions& options) {
    return error_of([&] { write_split(folder.path(), given, options); });
  };
  EXPECT_THAT(error(samples, {.split = "validation"}), HasSubstr("unknown split 'validation'"));
  EXPECT_THAT(error(samples, {.split = "train", .samples_per_shard = 0}),
              HasSubstr("at least one"));
  EXPECT_THAT(error(samples, {.split = "train", .classes = 5}),
              HasSubstr("random: label 5 of sample 5 is out of range: the data set has 5 classes"));
  Samples negative = samples;
  negative.labels[7] = -1;
  EXPECT_THAT(error(negative, {.split = "train"}),
              HasSubstr("label -1 of sample 7 is out of range"));
  Samples dark = samples;
  std::ranges::fill(dark.images, std::uint8_t{0});
  EXPECT_THAT(error(dark, {.split = "train"}), HasSubstr("the same everywhere"));
  EXPECT_TRUE(files_in(folder.path()).empty());

  write_split(folder.path(), samples, {.split = "train"});
  EXPECT_THAT(
      error(random_samples(30, {1, 4, 5}), {.split = "test"}),
      HasSubstr("images [1, 4, 4], but the new test split has 10 classes and images [1, 4, 5]"));
  EXPECT_THAT(error(samples, {.split = "test", .classes = 11}), HasSubstr("11 classes"));
  Samples eleventh = samples;
  eleventh.labels[3] = 10;
  EXPECT_THAT(error(eleventh, {.split = "test"}),
              HasSubstr("label 10 of sample 3 is out of range"));
}

TEST(ShardWriter, AFullDiskLeavesTheOldSplitWhole) {
  const ScratchFolder folder;
  const Samples samples = random_samples(30, {1, 4, 4});
  write_split(folder.path(), samples, {.split = "train"});
  const auto before = files_in(folder.path());
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{32 << 10, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string text = error_of([&] {
    write_split(folder.path(), random_samples(2000, {1, 8, 8}), {.split = "train"});
  });
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(text, HasSubstr("File too large"));
  EXPECT_EQ(files_in(folder.path()), before);
  EXPECT_EQ(read_all(folder.path(), "train").images, samples.images);
}

TEST(MakeShards, ChecksItsOptions) {
  const auto error = [](const MakeShardsOptions& options) {
    EXPECT_THROW(make_shards(options), UsageError);
    return error_of([&] { make_shards(options); });
  };
  EXPECT_THAT(error({.format = "png", .images = {"x"}}), HasSubstr("unknown source format 'png'"));
  EXPECT_THAT(error({.format = "idx"}), HasSubstr("no file with images"));
  EXPECT_THAT(error({.format = "idx", .images = {"x"}}), HasSubstr("no file with labels"));
  EXPECT_THAT(error({.format = "npy", .images = {"x", "y"}, .labels = "z"}), HasSubstr("one file"));
  EXPECT_THAT(error({.format = "cifar", .images = {"x"}, .labels = "z"}),
              HasSubstr("their own labels"));
}

TEST(MakeShards, TakesTheFirstSamplesAndSumsUp) {
  const ScratchFolder folder;
  test::Bytes record(3073, 9);
  record[1] = 0;
  test::Bytes bytes;
  for (int i = 0; i < 5; ++i) bytes.insert(bytes.end(), record.begin(), record.end());
  test::write_file(folder / "a.bin", bytes);
  bytes[3] = 77;
  test::write_file(folder / "b.bin", bytes);
  // All channels need two values at least.
  bytes[1 + 1024] = bytes[1 + 2048] = 1;
  test::write_file(folder / "c.bin", bytes);
  const MakeShardsSummary summary = make_shards({.format = "cifar",
                                                 .images = {folder / "c.bin", folder / "b.bin"},
                                                 .split = "train",
                                                 .out = folder / "out",
                                                 .limit = 7});
  EXPECT_EQ(read_all(folder / "out", "train").size(), 7u);
  EXPECT_THAT(summary.text(),
              HasSubstr("out, train split: 7 samples of [3, 32, 32] in 10 classes"));
}

// A reader of its own, made from data/FORMAT.md alone: Python with h5py, hashlib and NumPy.
TEST(ShardWriter, H5pyReadsTheFolderAsItIs) {
  const ScratchFolder folder;
  write_split(folder.path(), random_samples(300, {3, 6, 7}, 1),
              {.split = "train", .samples_per_shard = 128});
  write_split(folder.path(), random_samples(100, {3, 6, 7}, 2), {.split = "test"});
  const std::string command =
      fmt::format("'{}' '{}' '{}'", DOVETAIL_PYTHON, H5PY_SCRIPT, folder.path().string());
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "python3-h5py is not installed";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace dovetail
