// The two places that a reader takes samples from: memory, or files with a window of slabs in
// memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "shards/manifest.hpp"

namespace dovetail {

class SampleStore {
 public:
  virtual ~SampleStore() = default;
  SampleStore(const SampleStore&) = delete;
  SampleStore& operator=(const SampleStore&) = delete;

  /// The image of a sample, valid until the next call.
  virtual const std::uint8_t* image(std::size_t sample) = 0;
  std::int32_t label(std::size_t sample) const { return labels_[sample]; }

 protected:
  SampleStore() = default;
  std::vector<std::int32_t> labels_;  // of the whole split in either case: 4 bytes a sample
};

/// Holds all images; checks each shard's SHA-256 while loading.
std::unique_ptr<SampleStore> load_into_memory(const std::filesystem::path& folder,
                                              const Manifest& manifest, const Split& split);

/// Reads slabs on demand and keeps the `slabs` latest.
std::unique_ptr<SampleStore> read_by_slabs(const std::filesystem::path& folder,
                                           const Manifest& manifest, const Split& split,
                                           std::size_t slabs);

}  // namespace dovetail
