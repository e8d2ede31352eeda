// Labelled images in host memory, as the sources give them and the shards hold them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "support/text.hpp"

namespace dovetail {

/// Samples that lie together in a shard, in one HDF5 chunk: what a large data set is read and
/// shuffled by.
inline constexpr std::size_t slab_samples = 64;

/// Extents of one image.
struct SampleShape {
  std::size_t channels = 0;
  std::size_t height = 0;
  std::size_t width = 0;

  std::size_t bytes() const { return channels * height * width; }
  bool operator==(const SampleShape&) const = default;
};

inline std::string to_string(const SampleShape& shape) {
  return fmt::format("[{}, {}, {}]", shape.channels, shape.height, shape.width);
}

struct Samples {
  SampleShape shape;
  std::vector<std::uint8_t> images;      // [samples, channels, height, width]
  std::vector<std::int32_t> labels;      // [samples]
  std::size_t classes = 0;               // 0: the source doesn't say
  std::vector<std::string> class_names;  // [classes], or empty: the source doesn't say
  std::string origin;                    // where the labels come from, for messages

  std::size_t size() const { return labels.size(); }
};

}  // namespace dovetail
