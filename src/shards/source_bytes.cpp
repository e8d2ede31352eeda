// Reads plain and gzip-compressed source files and checks what their headers claim.
#include "shards/sources.hpp"
#include "support/error.hpp"
#include "support/gzip.hpp"

namespace dovetail::source {

namespace fs = std::filesystem;

std::vector<std::uint8_t> read_bytes(const fs::path& path) {
  std::vector<std::uint8_t> bytes = read_unzipped(path);
  if (bytes.empty()) throw Error(fmt::format("{} is empty", path.string()));
  return bytes;
}

void check_counts(std::size_t images, std::size_t labels, const fs::path& images_file,
                  const fs::path& labels_file) {
  if (images != labels) {
    throw Error(fmt::format("{} has {} images but {} has {} labels", images_file.string(), images,
                            labels_file.string(), labels));
  }
  if (images == 0) throw Error(fmt::format("{} has no images", images_file.string()));
}

void check_payload(const std::vector<std::size_t>& extents, std::size_t element_bytes,
                   std::size_t payload, const fs::path& file) {
  // Divides what is there instead of multiplying what is claimed: no overflow.
  std::size_t left = payload / element_bytes;
  bool exact = payload % element_bytes == 0;
  for (const std::size_t extent : extents) {
    if (extent == 0) {
      throw Error(fmt::format("{} is empty: its extents are [{}]", file.string(),
                              fmt::join(extents, ", ")));
    }
    exact = exact && left % extent == 0;
    if (exact) left /= extent;
  }
  if (exact && left == 1) return;
  throw Error(
      fmt::format("{} has {} bytes of data, which doesn't fit the extents [{}] in its header",
                  file.string(), payload, fmt::join(extents, ", ")),
      "The file is truncated or damaged");
}

}  // namespace dovetail::source
