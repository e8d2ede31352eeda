// Reads plain and gzip-compressed source files and checks what their headers claim.
#include <algorithm>

#include "shards/sources.hpp"
#include "support/error.hpp"
#include "support/gzip.hpp"

namespace dovetail::source {

namespace fs = std::filesystem;

namespace {

constexpr const char* damaged = "The file is truncated or damaged";

}  // namespace

std::vector<std::uint8_t> read_bytes(const fs::path& path, std::size_t most) {
  std::vector<std::uint8_t> bytes = read_unzipped(path, most);
  if (bytes.empty()) throw Error(fmt::format("{} is empty", path.string()));
  return bytes;
}

std::vector<std::uint8_t> read_values(const fs::path& path, std::size_t header_bytes,
                                      const std::vector<std::size_t>& extents,
                                      std::size_t element_bytes) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 2;
  const std::string claim = fmt::format("the extents [{}] in its header", fmt::join(extents, ", "));
  std::size_t claimed = element_bytes;
  for (const std::size_t extent : extents) {
    if (extent == 0) throw Error(fmt::format("{} is empty: {}", path.string(), claim));
    if (claimed > most / extent) {
      throw Error(fmt::format("{}: no file is as large as {}", path.string(), claim), damaged);
    }
    claimed *= extent;
  }
  std::vector<std::uint8_t> bytes = read_bytes(path, header_bytes + claimed + 1);
  const std::size_t payload = bytes.size() - std::min(bytes.size(), header_bytes);
  if (payload != claimed) {
    throw Error(fmt::format("{} has {} bytes of data, which doesn't fit {}", path.string(),
                            payload > claimed ? fmt::format("more than {}", claimed)
                                              : std::to_string(payload),
                            claim),
                damaged);
  }
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(header_bytes));
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

}  // namespace dovetail::source
