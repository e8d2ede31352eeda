// gzip files: the only header of this project that stands for zlib.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

namespace dovetail {

/// The bytes of a file, decompressed where it is a gzip file; the first `most` of them, since a
/// small gzip file may hold a thousand times as many. Throws Error, naming the file, where it
/// cannot be read, is damaged or truncated.
std::vector<std::uint8_t> read_unzipped(const std::filesystem::path& path,
                                        std::size_t most = std::numeric_limits<std::size_t>::max());

/// Writes a gzip file piece by piece. Throws Error with the reason.
class GzipWriter {
 public:
  explicit GzipWriter(const std::filesystem::path& path);
  ~GzipWriter();
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;

  void write(std::string_view text);
  /// Writes what is left; without it the file is truncated.
  void close();

 private:
  struct File;
  std::unique_ptr<File> file_;
};

}  // namespace dovetail
