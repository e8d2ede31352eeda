// Reads IDX files: a big-endian header (0, 0, type, rank, extents), then the values row-major.
#include "shards/sources.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

constexpr std::uint8_t unsigned_byte = 0x08;

struct IdxFile {
  std::vector<std::size_t> extents;
  std::vector<std::uint8_t> values;
};

IdxFile read_idx_file(const fs::path& path) {
  constexpr std::size_t most_rank = 4, most_header = 4 + 4 * most_rank;
  const std::vector<std::uint8_t> bytes = source::read_bytes(path, most_header);
  if (bytes.size() < 4 || bytes[0] != 0 || bytes[1] != 0) {
    throw Error(fmt::format("{} is no IDX file: its first bytes are not 00 00", path.string()));
  }
  if (bytes[2] != unsigned_byte) {
    throw Error(fmt::format("{} holds IDX type 0x{:02x}; only unsigned bytes (0x08) are read",
                            path.string(), bytes[2]));
  }
  const std::size_t rank = bytes[3];
  if (rank > most_rank) {
    throw Error(
        fmt::format("{} has {} extents; images have 3 or 4, labels have 1", path.string(), rank));
  }
  const std::size_t header = 4 + 4 * rank;
  if (bytes.size() < header) throw Error(fmt::format("{} ends within its header", path.string()));
  IdxFile file;
  for (std::size_t at = 4; at < header; at += 4) {
    file.extents.push_back(std::size_t{bytes[at]} << 24 | std::size_t{bytes[at + 1]} << 16 |
                           std::size_t{bytes[at + 2]} << 8 | bytes[at + 3]);
  }
  file.values = source::read_values(path, header, file.extents, 1);
  return file;
}

}  // namespace

Samples read_idx(const fs::path& images, const fs::path& labels) {
  IdxFile pixels = read_idx_file(images);
  const IdxFile classes = read_idx_file(labels);
  const auto& extents = pixels.extents;
  if (extents.size() != 3 && extents.size() != 4) {
    throw Error(
        fmt::format("{} has {} extents; images have 3 or 4", images.string(), extents.size()),
        "Are the files for images and labels swapped?");
  }
  if (classes.extents.size() != 1) {
    throw Error(
        fmt::format("{} has {} extents; labels have 1", labels.string(), classes.extents.size()),
        "Are the files for images and labels swapped?");
  }
  source::check_counts(extents[0], classes.extents[0], images, labels);
  Samples samples;
  samples.shape = {extents.size() == 4 ? extents[1] : 1, extents[extents.size() - 2],
                   extents.back()};
  samples.images = std::move(pixels.values);
  samples.origin = labels.string();
  samples.labels.assign(classes.values.begin(), classes.values.end());
  return samples;
}

}  // namespace dovetail
