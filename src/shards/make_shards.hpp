// From source files to a data set folder: what `dovetail shard` does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "shards/manifest.hpp"
#include "shards/wrong_labels.hpp"

namespace dovetail {

struct MakeShardsOptions {
  std::string format = {};                         // idx, cifar or npy
  std::vector<std::filesystem::path> images = {};  // several files only for cifar
  std::filesystem::path labels = {};               // none for cifar: its labels are within
  std::string split = {};                          // train or test
  std::filesystem::path out = {};                  // the data set's folder
  std::size_t samples_per_shard = 8192;
  std::size_t classes = 0;  // 0: see SplitOptions
  std::string name = {};    // empty: the folder's
  std::size_t limit = 0;    // take the first so many samples only; 0: all
  WrongLabels wrong_labels = {};
};

struct MakeShardsSummary {
  Manifest manifest;
  std::string split = {};
  std::uint64_t bytes = 0;  // of images and labels, uncompressed
  double seconds = 0;

  /// What was made, in a few lines for a person.
  std::string text() const;
};

/// Throws UsageError for options that don't fit together, Error for files that can't be used.
MakeShardsSummary make_shards(const MakeShardsOptions& options);

}  // namespace dovetail
