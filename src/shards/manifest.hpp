// A data set folder's table of contents: classes, shape, statistics, and the shards of each split
// with their checksums.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shards/samples.hpp"

namespace dovetail {

struct ShardEntry {
  std::string file;  // a plain name within the folder
  std::size_t samples = 0;
  std::string sha256;  // over the images, then the labels as little-endian int32
};

/// What `dovetail shard --wrong-labels` did to a split.
struct WrongLabelsMade {
  std::size_t samples = 0;
  std::uint64_t seed = 0;
};

struct Split {
  std::size_t samples = 0;
  std::vector<ShardEntry> shards;
  std::optional<WrongLabelsMade> wrong_labels{};  // none made wrong on purpose
};

struct Manifest {
  static constexpr int version = 1;
  static constexpr const char* file_name = "manifest.json";

  std::string name;
  std::size_t classes = 0;
  std::vector<std::string> class_names;  // [classes], or empty: not known
  SampleShape shape;
  // Of x/255 over the train split, [channels] each; empty while there is no train split.
  std::vector<double> mean;
  std::vector<double> standard_deviation;
  std::map<std::string, Split> splits;  // "train", "test"

  /// Reads and checks the manifest of a data set folder. Throws Error, naming the file and the
  /// field, where it is missing, of another version, incomplete or at odds with itself.
  static Manifest load(const std::filesystem::path& folder);
  /// Replaces the folder's manifest in one step.
  void save(const std::filesystem::path& folder) const;

  /// Throws Error where the data set has no such split. `folder` is for the message.
  const Split& split(const std::string& split_name, const std::filesystem::path& folder) const;
};

/// What to do about every damaged data set.
inline constexpr const char* make_anew = "Make the shards anew with `dovetail shard`";

}  // namespace dovetail
