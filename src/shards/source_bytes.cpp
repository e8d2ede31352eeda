// Reads plain and gzip-compressed source files and checks what their headers claim.
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "shards/sources.hpp"
#include "support/error.hpp"

namespace dovetail::source {

namespace fs = std::filesystem;

std::vector<std::uint8_t> read_bytes(const fs::path& path) {
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) throw Error(fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)));
  constexpr unsigned piece = 1 << 20;
  gzbuffer(file.get(), piece);
  std::vector<std::uint8_t> bytes;
  for (;;) {
    const std::size_t before = bytes.size();
    bytes.resize(before + piece);
    const int count = gzread(file.get(), bytes.data() + before, piece);
    bytes.resize(before + static_cast<std::size_t>(std::max(count, 0)));
    if (count <= 0) break;
  }
  // The last read succeeds even where the compressed stream ends too early; its status tells.
  int status = Z_OK;
  const char* text = gzerror(file.get(), &status);
  if (status == Z_ERRNO) text = std::strerror(errno);
  if (status == Z_BUF_ERROR) text = "the compressed file is truncated";
  if (status != Z_OK && status != Z_STREAM_END) {
    throw Error(fmt::format("cannot read {}: {}", path.string(), text));
  }
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
