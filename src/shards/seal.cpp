// Reads and writes the user block around SHA-256.
#include "shards/seal.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/checksum.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::hdf5 {
namespace {

constexpr std::string_view mark = "dovetail sha256 ";
constexpr std::string_view signature = "\x89HDF\r\n\x1a\n";
constexpr std::size_t digest_digits = 64;

/// Digest of what lies from the stream's position to its end.
std::string digest_of_rest(std::istream& file) {
  Sha256 sum;
  std::vector<char> piece(std::size_t{1} << 20);
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())), file.gcount() > 0)
    sum.update(piece.data(), static_cast<std::size_t>(file.gcount()));
  return sum.hex();
}

}  // namespace

void seal(const std::filesystem::path& path) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(user_block_bytes);
  const std::string digest = digest_of_rest(file);
  file.clear();
  file.seekp(0);
  file << mark << digest << '\n';
  file.close();
  if (!file) throw Error(fmt::format("cannot seal {}", path.string()), "Free some disk space");
}

void expect_unchanged(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, user_block_bytes> block{};
  file.read(block.data(), block.size());
  const std::string_view text(block.data(), static_cast<std::size_t>(file.gcount()));
  if (text.starts_with(signature)) return;
  if (text.size() < user_block_bytes || !text.starts_with(mark))
    throw Error(fmt::format("{} is no HDF5 file", path.string()));
  if (digest_of_rest(file) != text.substr(mark.size(), digest_digits))
    throw Error(fmt::format("{} is damaged: its checksum is another", path.string()));
}

}  // namespace dovetail::hdf5
