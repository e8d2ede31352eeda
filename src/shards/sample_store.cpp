// Loads a split whole, or keeps the slabs of the window that is being read.
#include "shards/sample_store.hpp"

#include <algorithm>
#include <list>
#include <unordered_map>

#include "shards/shard_file.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

class InMemory : public SampleStore {
 public:
  InMemory(const fs::path& folder, const Manifest& manifest, const Split& split)
      : image_bytes_(manifest.shape.bytes()) {
    for (const ShardEntry& entry : split.shards) {
      // Opening checks the extents, so no memory is taken on the manifest's word alone.
      const ShardFile shard(folder, manifest, entry);
      const std::size_t begin = images_.size();
      if (begin == 0) images_.reserve(split.samples * image_bytes_);
      images_.resize(begin + entry.samples * image_bytes_);
      const auto images = std::span(images_).subspan(begin);
      const std::vector<std::int32_t> labels = shard.labels(manifest.classes);
      shard.read_images(0, entry.samples, images);
      shard.check_sum(images, labels);
      labels_.insert(labels_.end(), labels.begin(), labels.end());
    }
  }

  const std::uint8_t* image(std::size_t sample) override {
    return images_.data() + sample * image_bytes_;
  }

 private:
  std::size_t image_bytes_;
  std::vector<std::uint8_t> images_;
};

class BySlabs : public SampleStore {
 public:
  BySlabs(const fs::path& folder, const Manifest& manifest, const Split& split, std::size_t slabs)
      : folder_(folder), manifest_(manifest), shards_(split.shards), capacity_(slabs) {
    for (const ShardEntry& entry : shards_) {
      const ShardFile shard(folder, manifest, entry);
      const std::vector<std::int32_t> labels = shard.labels(manifest.classes);
      labels_.insert(labels_.end(), labels.begin(), labels.end());
      ends_.push_back(labels_.size());
    }
  }

  const std::uint8_t* image(std::size_t sample) override {
    const std::size_t slab = sample / slab_samples;
    auto found = slabs_.find(slab);
    if (found == slabs_.end()) found = load(slab);
    return found->second.data() + sample % slab_samples * manifest_.shape.bytes();
  }

 private:
  using Slabs = std::unordered_map<std::size_t, std::vector<std::uint8_t>>;

  // A window's slabs are all read before the next window begins, so the oldest is the one to give
  // up.
  Slabs::iterator load(std::size_t slab) {
    std::vector<std::uint8_t> images;
    if (slabs_.size() == capacity_) {
      images = std::move(slabs_.extract(ages_.front()).mapped());
      ages_.pop_front();
    }
    const std::size_t first = slab * slab_samples;
    const std::size_t last = std::min(first + slab_samples, labels_.size());
    const std::size_t bytes = manifest_.shape.bytes();
    images.resize((last - first) * bytes);
    for (std::size_t at = first; at < last;) {
      // A slab straddles two shards where their size is no multiple of slab_samples.
      const auto end = std::upper_bound(ends_.begin(), ends_.end(), at);
      const auto index = static_cast<std::size_t>(end - ends_.begin());
      const std::size_t shard_begin = *end - shards_[index].samples;
      const std::size_t count = std::min(last, *end) - at;
      shard(index).read_images(at - shard_begin, count,
                               std::span(images).subspan((at - first) * bytes, count * bytes));
      at += count;
    }
    ages_.push_back(slab);
    return slabs_.emplace(slab, std::move(images)).first;
  }

  // Keeps the latest few shards open: enough to save the opening, too few to run out of file
  // descriptors.
  const ShardFile& shard(std::size_t index) {
    const auto found = std::ranges::find(open_, index, &Open::index);
    if (found != open_.end()) {
      open_.splice(open_.begin(), open_, found);
    } else {
      constexpr std::size_t most_open = 128;
      if (open_.size() == most_open) open_.pop_back();
      open_.push_front({index, ShardFile(folder_, manifest_, shards_[index])});
    }
    return open_.front().file;
  }

  struct Open {
    std::size_t index;
    ShardFile file;
  };

  fs::path folder_;
  Manifest manifest_;
  std::vector<ShardEntry> shards_;
  std::vector<std::size_t> ends_;  // running sum of the shards' samples
  std::size_t capacity_;
  Slabs slabs_;
  std::list<std::size_t> ages_;  // the slabs held, oldest first
  std::list<Open> open_;         // latest used first
};

}  // namespace

std::unique_ptr<SampleStore> load_into_memory(const fs::path& folder, const Manifest& manifest,
                                              const Split& split) {
  return std::make_unique<InMemory>(folder, manifest, split);
}

std::unique_ptr<SampleStore> read_by_slabs(const fs::path& folder, const Manifest& manifest,
                                           const Split& split, std::size_t slabs) {
  return std::make_unique<BySlabs>(folder, manifest, split, slabs);
}

}  // namespace dovetail
