// Shards: HDF5 files that a manifest describes.
#include <algorithm>

#include "fuzz/target.hpp"
#include "shards/shard_file.hpp"
#include "shards/shard_writer.hpp"
#include "support/file.hpp"

namespace dovetail::fuzz {
namespace {

constexpr SampleShape shape{1, 4, 4};
constexpr std::size_t samples = 12, classes = 3;

const Manifest& manifest() {
  static const Manifest made = [] {
    Samples source;
    source.shape = shape;
    source.origin = "seed";
    for (std::size_t i = 0; i < samples * shape.bytes(); ++i)
      source.images.push_back(static_cast<std::uint8_t>(37 * i));
    for (std::size_t i = 0; i < samples; ++i)
      source.labels.push_back(static_cast<std::int32_t>(i % classes));
    return write_split(folder(), source, {.split = "train", .classes = classes});
  }();
  return made;
}

}  // namespace

std::vector<Bytes> seeds() {
  return {read_file(folder() / manifest().splits.at("train").shards.at(0).file)};
}

void read(std::span<const std::uint8_t> input) {
  const ShardEntry& entry = manifest().splits.at("train").shards.at(0);
  write(entry.file, input);
  const ShardFile shard(folder(), manifest(), entry);
  const std::vector<std::int32_t> labels = shard.labels(classes);
  Bytes images(samples * shape.bytes());
  shard.read_images(0, samples, images);
  shard.check_sum(images, labels);
}

}  // namespace dovetail::fuzz
