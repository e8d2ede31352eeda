// Writes one split of a data set as shards and enters it in the folder's manifest.
#pragma once

#include <filesystem>
#include <string>

#include "shards/manifest.hpp"
#include "shards/samples.hpp"
#include "shards/wrong_labels.hpp"

namespace dovetail {

struct SplitOptions {
  std::string split = {};   // "train" or "test"
  std::string name = {};    // of the data set; empty: as it is, or the folder's
  std::size_t classes = 0;  // 0: from the samples, the other split, or the largest label
  std::size_t samples_per_shard = 8192;  // multiples of slab_samples read fastest
  WrongLabels wrong_labels = {};         // made wrong on purpose, and noted in the manifest
};

/// Writes `<split>-00000.h5` … and the manifest, in place of an earlier version of this split;
/// another split of the folder stays. The new shards are written aside in full before anything is
/// replaced; the manifest is replaced in one step. Returns the new manifest. Throws Error where
/// labels are out of range, where the shape or the classes differ from the other split's, or where
/// the folder can't be written.
Manifest write_split(const std::filesystem::path& folder, const Samples& samples,
                     const SplitOptions& options);

}  // namespace dovetail
