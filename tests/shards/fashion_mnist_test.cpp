// The real Fashion-MNIST, where its files are: counts, statistics and balance of what the shards
// hold.
#include <algorithm>
#include <cstdlib>

#include "shards/make_shards.hpp"
#include "shards/shard_reader.hpp"
#include "shards/test_files.hpp"

namespace dovetail {
namespace {

TEST(FashionMnist, BecomesShards) {
  const char* named = std::getenv("DOVETAIL_FASHION_MNIST");
  const fs::path source = named != nullptr ? named : "/usr/share/datasets/fashion-mnist";
  if (!fs::exists(source / "train-images-idx3-ubyte.gz")) {
    GTEST_SKIP()
        << "no Fashion-MNIST in " << source
        << ": install dataset-fashion-mnist or set DOVETAIL_FASHION_MNIST (data/README.md)";
  }
  const ScratchFolder folder;
  for (const auto& [split, prefix, samples] :
       {std::tuple{"train", "train", 60000u}, std::tuple{"test", "t10k", 10000u}}) {
    const MakeShardsSummary summary =
        make_shards({.format = "idx",
                     .images = {source / fmt::format("{}-images-idx3-ubyte.gz", prefix)},
                     .labels = source / fmt::format("{}-labels-idx1-ubyte.gz", prefix),
                     .split = split,
                     .out = folder / "fashion-mnist"});
    EXPECT_EQ(summary.manifest.splits.at(split).samples, samples);
    EXPECT_EQ(summary.manifest.classes, 10u);
    EXPECT_EQ(summary.manifest.shape, (SampleShape{1, 28, 28}));
    ShardReader reader(folder / "fashion-mnist", split);
    Batch batch;
    reader.read({.epoch = 0, .begin = 0, .count = samples}, batch);
    for (int label = 0; label < 10; ++label) {
      EXPECT_EQ(std::ranges::count(batch.labels, label), samples / 10);
    }
  }
  const Manifest manifest = Manifest::load(folder / "fashion-mnist");
  EXPECT_NEAR(manifest.mean.at(0), 0.2860, 5e-5);
  EXPECT_NEAR(manifest.standard_deviation.at(0), 0.3530, 5e-5);
}

}  // namespace
}  // namespace dovetail
