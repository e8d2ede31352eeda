// Damaged data sets: every kind ends in one line with the file and the remedy, and never in wrong
// data.
#include <functional>
#include <random>

#include "shards/hdf5.hpp"
#include "shards/shard_reader.hpp"
#include "shards/shard_writer.hpp"
#include "shards/test_files.hpp"

namespace dovetail {
namespace {

using test::error_of;

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;

constexpr SampleShape shape{1, 6, 6};
constexpr std::size_t count = 200;
constexpr std::size_t in_memory = std::size_t{1} << 20;
constexpr std::size_t by_slabs = 2 * slab_samples * 36;

class ShardDamageTest : public testing::Test {
 protected:
  ShardDamageTest() : samples_(test::random_samples(count, shape)) {
    write_split(folder_.path(), samples_, {.split = "train", .samples_per_shard = 128});
    shard_ = folder_ / "train-00001.h5";
  }

  Batch read_all(std::size_t memory_bytes) {
    ShardReader reader(folder_.path(), "train", {.memory_bytes = memory_bytes});
    Batch batch;
    reader.read({.begin = 0, .count = count}, batch);
    return batch;
  }

  // Both ways of reading have to notice.
  void expect_error(const testing::Matcher<std::string>& what) {
    for (const std::size_t memory_bytes : {in_memory, by_slabs}) {
      EXPECT_THAT(error_of([&] { read_all(memory_bytes); }),
                  AllOf(what, HasSubstr(shard_.string()),
                        EndsWith("Make the shards anew with `dovetail shard`")));
    }
  }

  void rewrite(const hdf5::Extents& extents, const std::vector<std::int32_t>& labels) {
    std::size_t size = 1;
    for (const std::size_t extent : extents) size *= extent;
    hdf5::File file = hdf5::File::create(shard_);
    file.write("/images", extents, std::vector<std::uint8_t>(size));
    file.write("/labels", {labels.size()}, labels);
  }

  ScratchFolder folder_;
  Samples samples_;
  fs::path shard_;
};

TEST_F(ShardDamageTest, Missing) {
  fs::remove(shard_);
  expect_error(HasSubstr("No such file or directory"));
}

TEST_F(ShardDamageTest, Empty) {
  test::write_file(shard_, {});
  expect_error(HasSubstr("the file is empty"));
}

TEST_F(ShardDamageTest, NotHdf5) {
  test::write_file(shard_, test::Bytes(5000, 'x'));
  expect_error(HasSubstr("file signature not found"));
}

TEST_F(ShardDamageTest, TruncatedAnywhere) {
  const test::Bytes whole = read_file(shard_);
  for (std::size_t tenth = 1; tenth < 10; ++tenth) {
    const auto length = static_cast<std::ptrdiff_t>(whole.size() * tenth / 10);
    test::write_file(shard_, test::Bytes(whole.begin(), whole.begin() + length));
    expect_error(HasSubstr("cannot open"));
  }
  test::write_file(shard_, test::Bytes(whole.begin(), whole.end() - 1));
  expect_error(HasSubstr("truncated file"));
}

TEST_F(ShardDamageTest, ABitFlippedInAnImage) {
  const test::Bytes whole = read_file(shard_);
  const auto* last_image = &samples_.images[(count - 1) * shape.bytes()];
  const auto at = std::search(whole.begin(), whole.end(), last_image, last_image + shape.bytes());
  ASSERT_NE(at, whole.end());
  test::flip_bit(shard_, static_cast<std::size_t>(at - whole.begin()) + 20, 3);
  expect_error(HasSubstr("data error detected by Fletcher32 checksum"));
}

TEST_F(ShardDamageTest, BitsFlippedAnywhereGiveAnErrorOrTheSameData) {
  const test::Bytes whole = read_file(shard_);
  std::mt19937 random(4);
  int noticed = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const std::size_t byte = random() % whole.size();
    const int bit = static_cast<int>(random() % 8);
    for (const std::size_t memory_bytes : {in_memory, by_slabs}) {
      test::write_file(shard_, whole);
      test::flip_bit(shard_, byte, bit);
      try {
        const Batch batch = read_all(memory_bytes);
        EXPECT_EQ(batch.images, samples_.images) << "byte " << byte << " bit " << bit;
        EXPECT_EQ(batch.labels, samples_.labels) << "byte " << byte << " bit " << bit;
      } catch (const Error&) {
        ++noticed;
      }
    }
  }
  EXPECT_GT(noticed, 100);
}

TEST_F(ShardDamageTest, AnotherValidShardInItsPlace) {
  const ScratchFolder other;
  write_split(other.path(), test::random_samples(count, shape, 99),
              {.split = "train", .samples_per_shard = 128});
  fs::copy_file(other / "train-00001.h5", shard_, fs::copy_options::overwrite_existing);
  EXPECT_THAT(error_of([&] { read_all(in_memory); }),
              AllOf(HasSubstr(shard_.string() + ": the data don't match the manifest's checksum"),
                    EndsWith("Make the shards anew with `dovetail shard`")));
}

TEST_F(ShardDamageTest, OtherShapesCountsAndTypesThanTheManifests) {
  const std::vector<std::int32_t> labels(72);
  rewrite({72, 1, 6, 5}, labels);
  expect_error(HasSubstr("is uint8 [72, 1, 6, 5], but the manifest says uint8 [72, 1, 6, 6]"));
  rewrite({71, 1, 6, 6}, std::vector<std::int32_t>(71));
  expect_error(HasSubstr("[71, 1, 6, 6]"));
  rewrite({72, 36}, labels);
  expect_error(HasSubstr("[72, 36]"));
  rewrite({72, 1, 6, 6}, std::vector<std::int32_t>(71));
  expect_error(HasSubstr("/labels in "));
  {
    hdf5::File file = hdf5::File::create(shard_);
    file.write("/images", {72, 1, 6, 6}, std::vector<float>(72 * 36));
    file.write("/labels", {72}, labels);
  }
  expect_error(HasSubstr("is float32 [72, 1, 6, 6]"));
  { hdf5::File::create(shard_).write("/labels", {72}, labels); }
  expect_error(HasSubstr("cannot open /images"));
}

TEST_F(ShardDamageTest, LabelsOutOfRange) {
  std::vector<std::int32_t> labels(72);
  for (const std::int32_t bad : {-1, 10, 2147483647}) {
    labels[5] = bad;
    rewrite({72, 1, 6, 6}, labels);
    expect_error(HasSubstr(
        fmt::format("label {} of sample 5 is out of range: the manifest says 10 classes", bad)));
  }
}

}  // namespace
}  // namespace dovetail
