// One shard, open for reading, with everything checked that its manifest entry says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "shards/hdf5.hpp"
#include "shards/manifest.hpp"

namespace dovetail {

class ShardFile {
 public:
  /// Throws Error where the file is missing or damaged, or its data sets' types and extents are not
  /// the manifest's.
  ShardFile(const std::filesystem::path& folder, const Manifest& manifest, const ShardEntry& entry);

  /// Labels of all samples; throws Error where one is out of [0, classes).
  std::vector<std::int32_t> labels(std::size_t classes) const;
  /// Images [begin, begin + count), each checked by the file's checksum.
  void read_images(std::size_t begin, std::size_t count, std::span<std::uint8_t> images) const;
  /// Throws Error unless the manifest's SHA-256 is that of these, which are the whole shard.
  void check_sum(std::span<const std::uint8_t> images, std::span<const std::int32_t> labels) const;

 private:
  std::filesystem::path path_;
  std::string sha256_;
  hdf5::Dataset images_;
  hdf5::Dataset labels_;
};

}  // namespace dovetail
