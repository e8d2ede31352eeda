// Where the proof's images come from: random bytes, or a data set.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "shards/shard_reader.hpp"
#include "support/random.hpp"
#include "verify/networks.hpp"

namespace dovetail::verify {

struct Samples {
  std::vector<std::uint8_t> images;  // [count, channels, height, width]
  std::vector<std::int32_t> labels;  // [count]
};

class Source {
 public:
  /// Random bytes.
  Source() = default;
  /// The test split of a data set folder, over and over. Throws Error where that is damaged.
  explicit Source(const std::filesystem::path& folder);

  /// "random", or the data set's name.
  const std::string& name() const { return name_; }
  /// Of the data set's images, or of random ones with these extents.
  InputShape shape(int channels, int height, int width) const;
  /// `count` images of a shape that this source has given; fewer where the data set has fewer.
  Samples next(const InputShape& shape, std::uint64_t count, SplitMix64& random);

 private:
  Samples next_of_data(std::uint64_t count);

  std::string name_ = "random";
  std::unique_ptr<ShardReader> reader_;  // null: random bytes
  std::size_t position_ = 0;
};

}  // namespace dovetail::verify
