// Labels made wrong: how many, by what, reproducibly, and noted in the manifest.
#include "shards/wrong_labels.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "shards/make_shards.hpp"
#include "shards/shard_reader.hpp"
#include "shards/shard_writer.hpp"
#include "shards/test_files.hpp"

namespace dovetail {
namespace {

using test::error_of;
using test::random_samples;

using testing::HasSubstr;

TEST(WrongLabels, ReplacesExactlyTheShareByOtherClassesAllAlike) {
  constexpr std::size_t samples = 60000, classes = 10;
  const std::vector<std::int32_t> right(samples, 3);
  std::vector<std::int32_t> labels = right;
  EXPECT_EQ(make_labels_wrong(labels, classes, {.share = 0.1, .seed = 5}), 6000u);
  std::array<std::size_t, classes> counts{};
  for (const std::int32_t label : labels) ++counts.at(static_cast<std::size_t>(label));
  for (std::size_t c = 0; c < classes; ++c) {  // standard deviation 24.3
    const double expected = c == 3 ? samples - 6000 : 6000.0 / 9;
    EXPECT_NEAR(static_cast<double>(counts[c]), expected, c == 3 ? 0 : 5 * 24.3) << c;
  }
  // All over the data set.
  const auto half = labels.begin() + samples / 2;
  EXPECT_NEAR(static_cast<double>(std::count(labels.begin(), half, 3)), 27000, 5 * 37);

  std::vector<std::int32_t> again = right, other = right;
  make_labels_wrong(again, classes, {.share = 0.1, .seed = 5});
  make_labels_wrong(other, classes, {.share = 0.1, .seed = 6});
  EXPECT_EQ(again, labels);
  EXPECT_NE(other, labels);
}

TEST(WrongLabels, RefusesWhatCannotBe) {
  std::vector<std::int32_t> labels(10, 0);
  for (const double share : {-0.1, 1.1, std::nan("")})
    EXPECT_THAT(error_of([&] { make_labels_wrong(labels, 10, {.share = share}); }),
                HasSubstr("cannot be wrong"));
  EXPECT_THAT(error_of([&] { make_labels_wrong(labels, 1, {.share = 0.5}); }),
              HasSubstr("one class"));
  EXPECT_EQ(make_labels_wrong(labels, 1, {.share = 0}), 0u);
}

TEST(WrongLabels, TheManifestSaysWhatWasDone) {
  const ScratchFolder scratch;
  const Samples samples = random_samples(200, {1, 4, 4});
  write_split(scratch.path(), samples,
              {.split = "train", .wrong_labels = {.share = 0.25, .seed = 9}});
  write_split(scratch.path(), samples, {.split = "test"});  // rewrites the manifest
  const Manifest manifest = Manifest::load(scratch.path());
  ASSERT_TRUE(manifest.splits.at("train").wrong_labels);
  EXPECT_EQ(manifest.splits.at("train").wrong_labels->samples, 50u);
  EXPECT_EQ(manifest.splits.at("train").wrong_labels->seed, 9u);
  EXPECT_FALSE(manifest.splits.at("test").wrong_labels);

  ShardReader reader(scratch.path(), "train");
  Batch batch;
  reader.read({.begin = 0, .count = 200}, batch);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < 200; ++i) wrong += batch.labels[i] != samples.labels[i];
  EXPECT_EQ(wrong, 50u);
  EXPECT_EQ(std::vector(batch.images.begin(), batch.images.end()), samples.images);
}

}  // namespace
}  // namespace dovetail
