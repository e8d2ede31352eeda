// Cuts samples into shards, checksums and writes them aside, then swaps them and the manifest in.
#include "shards/shard_writer.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <set>
#include <span>

#include "shards/hdf5.hpp"
#include "support/checksum.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/log.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little,
              "checksums are over little-endian labels");

// A folder within the data set's, so that a rename moves its files; gone with its owner.
class StagingFolder {
 public:
  StagingFolder(const fs::path& folder, const std::string& split)
      : path_(folder / fmt::format(".{}.{}.part", split, ::getpid())) {
    make_writable_folder(path_);
  }
  ~StagingFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string shard_name(const std::string& split, std::size_t index) {
  return fmt::format("{}-{:05}.h5", split, index);
}

bool is_shard_of(const std::string& split, const std::string& file) {
  const std::string start = split + "-";
  const std::string end = ".h5";
  return file.size() > start.size() + end.size() && file.starts_with(start) &&
         file.ends_with(end) &&
         std::all_of(file.begin() + static_cast<std::ptrdiff_t>(start.size()),
                     file.end() - static_cast<std::ptrdiff_t>(end.size()),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

// Over the integers, so exact: a histogram of the 256 values per channel.
void set_statistics(const Samples& samples, Manifest& manifest) {
  const std::size_t area = samples.shape.height * samples.shape.width;
  const std::size_t channels = samples.shape.channels;
  std::vector<std::array<std::uint64_t, 256>> histograms(channels);
  const std::uint8_t* pixel = samples.images.data();
  for (std::size_t n = 0; n < samples.size(); ++n) {
    for (auto& histogram : histograms) {
      for (std::size_t i = 0; i < area; ++i) ++histogram[*pixel++];
    }
  }
  manifest.mean.clear();
  manifest.standard_deviation.clear();
  const double count = static_cast<double>(samples.size() * area);
  for (std::size_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (std::size_t v = 0; v < 256; ++v) sum += static_cast<double>(v * histograms[c][v]);
    const double mean = sum / count;
    double squares = 0;
    for (std::size_t v = 0; v < 256; ++v) {
      const double distance = static_cast<double>(v) - mean;
      squares += distance * distance * static_cast<double>(histograms[c][v]);
    }
    if (squares == 0) {
      throw Error(fmt::format("channel {} of the training images is the same everywhere", c),
                  "There is nothing to learn from; check the source file");
    }
    manifest.mean.push_back(mean / 255);
    manifest.standard_deviation.push_back(std::sqrt(squares / count) / 255);
  }
}

// The manifest as it stands, without the split that is about to be replaced.
Manifest other_split(const fs::path& folder, const std::string& split) {
  Manifest manifest;
  if (std::error_code none; !fs::exists(folder / Manifest::file_name, none)) return manifest;
  try {
    manifest = Manifest::load(folder);
  } catch (const Error& failure) {
    // The remedy that every reader names is this very command, so it may not fail for that.
    log::warn(fmt::format("{}. Starting it anew: any other split is to be made anew too",
                          failure.what()));
    return {};
  }
  manifest.splits.erase(split);
  if (split == "train") {
    manifest.mean.clear();
    manifest.standard_deviation.clear();
  }
  return manifest;
}

// Fills in what describes the whole data set; both splits have to agree on it.
void describe(Manifest& manifest, const Samples& samples, const SplitOptions& options,
              const fs::path& folder) {
  const auto [lowest, highest] = std::ranges::minmax(samples.labels);
  std::size_t classes = options.classes != 0 ? options.classes : samples.classes;
  if (!manifest.splits.empty()) {
    const std::string other = manifest.splits.begin()->first;
    if (classes == 0) classes = manifest.classes;
    if (samples.shape != manifest.shape || classes != manifest.classes) {
      throw Error(
          fmt::format("{} has a {} split of {} classes and images {}, but the new {} split has {} "
                      "classes and images {}",
                      folder.string(), other, manifest.classes, to_string(manifest.shape),
                      options.split, classes, to_string(samples.shape)),
          "Choose another folder, or remove this one");
    }
  }
  if (classes == 0) classes = static_cast<std::size_t>(std::max(highest, 0)) + 1;
  if (lowest < 0 || static_cast<std::size_t>(highest) >= classes) {
    const auto bad = std::ranges::find_if(samples.labels, [&](std::int32_t label) {
      return label < 0 || static_cast<std::size_t>(label) >= classes;
    });
    throw Error(
        fmt::format("{}: label {} of sample {} is out of range: the data set has {} classes",
                    samples.origin, *bad, bad - samples.labels.begin(), classes),
        "Check the labels, or give the number of classes");
  }
  manifest.classes = classes;
  manifest.shape = samples.shape;
  if (!samples.class_names.empty()) manifest.class_names = samples.class_names;
  if (manifest.class_names.size() != classes) manifest.class_names.clear();
  if (!options.name.empty()) manifest.name = options.name;
  if (manifest.name.empty()) manifest.name = fs::canonical(folder).filename();
}

ShardEntry write_shard(const fs::path& path, const SampleShape& shape,
                       std::span<const std::uint8_t> images, std::span<const std::int32_t> labels) {
  replace_file(path, [&](const fs::path& aside) {
    hdf5::File file = hdf5::File::create(aside);
    file.write("/images", {labels.size(), shape.channels, shape.height, shape.width}, images,
               {.chunk_rows = slab_samples, .fletcher32 = true});
    file.write("/labels", {labels.size()}, labels,
               {.chunk_rows = labels.size(), .fletcher32 = true});
    file.close();
  });
  Sha256 sum;
  sum.update(images.data(), images.size_bytes());
  sum.update(labels.data(), labels.size_bytes());
  return {path.filename(), labels.size(), sum.hex()};
}

void remove_stale_shards(const fs::path& folder, const std::string& split, const Split& current) {
  std::set<std::string> kept;
  for (const ShardEntry& shard : current.shards) kept.insert(shard.file);
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename();
    if (is_shard_of(split, file) && !kept.contains(file)) stale.push_back(entry.path());
  }
  for (const fs::path& file : stale) {
    std::error_code failure;
    fs::remove(file, failure);
    if (failure) log::warn(fmt::format("cannot remove {}: {}", file.string(), failure.message()));
  }
}

}  // namespace

Manifest write_split(const fs::path& folder, const Samples& samples, const SplitOptions& options) {
  if (options.split != "train" && options.split != "test") {
    throw UsageError(fmt::format("unknown split '{}'", options.split), "Choose train or test");
  }
  if (options.samples_per_shard == 0) throw UsageError("a shard needs at least one sample");
  make_writable_folder(folder);
  Manifest manifest = other_split(folder, options.split);
  describe(manifest, samples, options, folder);
  if (options.split == "train") set_statistics(samples, manifest);

  std::vector<std::int32_t> all_labels = samples.labels;
  const std::size_t wrong = make_labels_wrong(all_labels, manifest.classes, options.wrong_labels);

  const StagingFolder staging(folder, options.split);
  Split split{samples.size(), {}};
  if (wrong > 0) split.wrong_labels = WrongLabelsMade{wrong, options.wrong_labels.seed};
  const std::span images(samples.images);
  const std::span<const std::int32_t> labels(all_labels);
  const std::size_t bytes = samples.shape.bytes();
  for (std::size_t begin = 0; begin < samples.size(); begin += options.samples_per_shard) {
    const std::size_t count = std::min(options.samples_per_shard, samples.size() - begin);
    split.shards.push_back(
        write_shard(staging.path() / shard_name(options.split, split.shards.size()), samples.shape,
                    images.subspan(begin * bytes, count * bytes), labels.subspan(begin, count)));
  }
  // From here to the new manifest a crash leaves shards that disagree with the old one, which every
  // reader notices.
  for (const ShardEntry& shard : split.shards) {
    std::error_code failure;
    fs::rename(staging.path() / shard.file, folder / shard.file, failure);
    if (failure) {
      throw Error(
          fmt::format("cannot write {}: {}", (folder / shard.file).string(), failure.message()));
    }
  }
  manifest.splits[options.split] = std::move(split);
  manifest.save(folder);
  remove_stale_shards(folder, options.split, manifest.splits[options.split]);
  return manifest;
}

}  // namespace dovetail
