// Opens one shard and checks it against its manifest entry.
#include "shards/shard_file.hpp"

#include "support/checksum.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

// Does something with a file; a failure gets the remedy for damaged data sets.
template <typename Action>
auto with_remedy(const Action& action) {
  try {
    return action();
  } catch (const Error& failure) {
    throw Error(failure.what(), make_anew);
  }
}

hdf5::Dataset open_checked(const fs::path& path, const std::string& name, const std::string& type,
                           const hdf5::Extents& extents) {
  return with_remedy([&] {
    hdf5::Dataset dataset = hdf5::File::open(path).dataset(name);
    if (dataset.type() != type || dataset.extents() != extents) {
      throw Error(fmt::format("{} in {} is {} [{}], but the manifest says {} [{}]", name,
                              path.string(), dataset.type(), fmt::join(dataset.extents(), ", "),
                              type, fmt::join(extents, ", ")));
    }
    return dataset;
  });
}

}  // namespace

ShardFile::ShardFile(const fs::path& folder, const Manifest& manifest, const ShardEntry& entry)
    : path_(folder / entry.file),
      sha256_(entry.sha256),
      images_(open_checked(
          path_, "/images", "uint8",
          {entry.samples, manifest.shape.channels, manifest.shape.height, manifest.shape.width})),
      labels_(open_checked(path_, "/labels", "int32", {entry.samples})) {}

std::vector<std::int32_t> ShardFile::labels(std::size_t classes) const {
  const auto labels = with_remedy([&] { return labels_.read<std::int32_t>(); });
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || static_cast<std::size_t>(labels[i]) >= classes) {
      throw Error(
          fmt::format("{}: label {} of sample {} is out of range: the manifest says {} classes",
                      path_.string(), labels[i], i, classes),
          make_anew);
    }
  }
  return labels;
}

void ShardFile::read_images(std::size_t begin, std::size_t count,
                            std::span<std::uint8_t> images) const {
  with_remedy([&] { images_.read_rows(begin, count, images); });
}

void ShardFile::check_sum(std::span<const std::uint8_t> images,
                          std::span<const std::int32_t> labels) const {
  Sha256 sum;
  sum.update(images.data(), images.size_bytes());
  sum.update(labels.data(), labels.size_bytes());
  if (sum.hex() != sha256_) {
    throw Error(fmt::format("{}: the data don't match the manifest's checksum", path_.string()),
                make_anew);
  }
}

}  // namespace dovetail
