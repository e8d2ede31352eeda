// Reads and writes through zlib's file functions.
#include "support/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr unsigned piece = 1 << 17;  // the larger of the sizes that zlib.h suggests for speed

}  // namespace

std::vector<std::uint8_t> read_unzipped(const std::filesystem::path& path, std::size_t most) {
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) throw Error(fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)));
  gzbuffer(file.get(), piece);
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < most) {
    const std::size_t before = bytes.size();
    const auto now = static_cast<unsigned>(std::min<std::size_t>(piece, most - before));
    bytes.resize(before + now);
    const int count = gzread(file.get(), bytes.data() + before, now);
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
  return bytes;
}

struct GzipWriter::File {
  gzFile handle = nullptr;
};

GzipWriter::GzipWriter(const std::filesystem::path& path) : file_(std::make_unique<File>()) {
  errno = 0;
  file_->handle = gzopen(path.c_str(), "wb");
  if (!file_->handle) throw Error(std::strerror(errno));
  gzbuffer(file_->handle, piece);
}

GzipWriter::~GzipWriter() {
  if (file_->handle) gzclose(file_->handle);
}

void GzipWriter::write(std::string_view text) {
  for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(text.size(), piece))) {
    const auto now = static_cast<unsigned>(std::min<std::size_t>(text.size(), piece));
    if (gzwrite(file_->handle, text.data(), now) != static_cast<int>(now))
      throw Error(std::strerror(errno));
  }
}

void GzipWriter::close() {
  const int status = gzclose(std::exchange(file_->handle, nullptr));
  if (status != Z_OK) throw Error(status == Z_ERRNO ? std::strerror(errno) : "zlib failed");
}

}  // namespace dovetail
