// Reading: memory and slabs give the same samples, in both orders, for any shard size.
#include "shards/shard_reader.hpp"

#include <algorithm>
#include <set>

#include "shards/shard_writer.hpp"
#include "shards/test_files.hpp"

namespace dovetail {
namespace {

using test::error_of;

constexpr SampleShape shape{2, 5, 3};

// Shards of 100 samples, so that slabs of 64 straddle them; 1010 samples, so that the last of both
// is short.
class ShardReaderTest : public testing::Test {
 protected:
  ShardReaderTest() : samples_(test::random_samples(1010, shape)) {
    write_split(folder_.path(), samples_, {.split = "train", .samples_per_shard = 100});
  }
  ShardReader reader(const ReaderOptions& options) { return {folder_.path(), "train", options}; }

  ScratchFolder folder_;
  Samples samples_;
};

constexpr std::size_t three_slabs = 3 * slab_samples * 30;

TEST_F(ShardReaderTest, ReadsInTheOrderOfTheDataSet) {
  for (const std::size_t memory_bytes : {std::size_t{1} << 20, three_slabs, std::size_t{1}}) {
    ShardReader reader = this->reader({.memory_bytes = memory_bytes});
    EXPECT_EQ(reader.in_memory(), memory_bytes == std::size_t{1} << 20);
    EXPECT_EQ(reader.samples(), 1010u);
    Batch batch;
    for (std::size_t begin = 0; begin < 1010; begin += 77) {
      const std::size_t count = std::min<std::size_t>(77, 1010 - begin);
      reader.read({.begin = begin, .count = count}, batch);
      const auto* images = &samples_.images[begin * shape.bytes()];
      EXPECT_EQ(batch.images, std::vector<std::uint8_t>(images, images + count * shape.bytes()));
      EXPECT_TRUE(std::equal(batch.labels.begin(), batch.labels.end(), &samples_.labels[begin]));
      EXPECT_EQ(batch.size(), count);
    }
  }
}

TEST_F(ShardReaderTest, ReadsTheEpochsOrder) {
  ShardReader reader = this->reader({.seed = 5});
  Batch batch;
  for (const std::int64_t epoch : {0, 1, 0}) {
    const EpochOrder order(
        {.samples = 1010, .seed = 5, .epoch = static_cast<std::uint64_t>(epoch)});
    reader.read({.epoch = epoch, .begin = 0, .count = 1010}, batch);
    for (std::size_t i = 0; i < 1010; ++i) {
      ASSERT_EQ(batch.labels[i], samples_.labels[order[i]]);
      ASSERT_TRUE(std::equal(&batch.images[i * 30], &batch.images[i * 30] + 30,
                             &samples_.images[order[i] * 30]));
    }
  }
}

TEST_F(ShardReaderTest, ReadsLabelsAndNumbersWhereImagesAreNotWanted) {
  ShardReader reader = this->reader({.seed = 5});
  Batch batch;
  reader.read({.epoch = 0, .count = 1010}, batch);
  EXPECT_TRUE(batch.numbers.empty());
  // More epochs than orders that are kept, back and forth.
  for (const std::int64_t epoch : {0, 1, 2, 150, 1, 0, 149, 150, 2}) {
    for (std::int64_t other = 3; other < 100; ++other)
      reader.read({.epoch = other, .begin = 9, .count = 1, .images = false}, batch);
    const EpochOrder order(
        {.samples = 1010, .seed = 5, .epoch = static_cast<std::uint64_t>(epoch)});
    reader.read({.epoch = epoch, .begin = 10, .count = 1000, .images = false}, batch);
    EXPECT_TRUE(batch.images.empty());
    ASSERT_EQ(batch.numbers.size(), 1000u);
    for (std::size_t i = 0; i < 1000; ++i) {
      ASSERT_EQ(static_cast<std::size_t>(batch.numbers[i]), order[i + 10]);
      ASSERT_EQ(batch.labels[i], samples_.labels[order[i + 10]]);
    }
  }
}

TEST_F(ShardReaderTest, SlabsGiveTheSameSamplesAsMemory) {
  for (const std::size_t memory_bytes : {three_slabs, std::size_t{1}}) {
    ShardReader by_slabs = reader({.seed = 7, .memory_bytes = memory_bytes});
    ASSERT_FALSE(by_slabs.in_memory());
    ShardReader in_memory = reader({.seed = 7, .window_slabs = by_slabs.window_slabs()});
    ASSERT_TRUE(in_memory.in_memory());
    Batch a;
    Batch b;
    for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
      for (std::size_t begin = 0; begin < 1010; begin += 50) {
        const Range range{epoch, begin, std::min<std::size_t>(50, 1010 - begin)};
        by_slabs.read(range, a);
        in_memory.read(range, b);
        ASSERT_EQ(a.images, b.images);
        ASSERT_EQ(a.labels, b.labels);
      }
    }
  }
}

TEST_F(ShardReaderTest, TheWindowFollowsTheMemory) {
  EXPECT_EQ(reader({.memory_bytes = three_slabs}).window_slabs(), 3u);
  EXPECT_EQ(reader({.memory_bytes = three_slabs + 5}).window_slabs(), 3u);
  EXPECT_EQ(reader({.memory_bytes = 1}).window_slabs(), 1u);
  EXPECT_EQ(reader({.memory_bytes = three_slabs, .window_slabs = 5}).window_slabs(), 5u);
}

TEST_F(ShardReaderTest, RefusesPositionsBeyondTheEnd) {
  ShardReader reader = this->reader({});
  Batch batch;
  reader.read({.begin = 1010, .count = 0}, batch);
  EXPECT_EQ(batch.size(), 0u);
  EXPECT_NE(error_of([&] { reader.read({.begin = 1000, .count = 11}, batch); }), "");
  EXPECT_NE(error_of([&] { reader.read({.epoch = 0, .begin = 1011, .count = 0}, batch); }), "");
  EXPECT_NE(error_of([&] { reader.read({.begin = 1, .count = ~std::size_t{0}}, batch); }), "");
}

TEST_F(ShardReaderTest, AMissingSplitNamesTheCommand) {
  EXPECT_THAT(error_of([&] { ShardReader(folder_.path(), "test"); }),
              testing::HasSubstr("has no test split. Add it with `dovetail shard --split test`"));
}

}  // namespace
}  // namespace dovetail
