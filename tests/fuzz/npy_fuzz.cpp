// NumPy's .npy files, as `dovetail shard` imports them: images and labels.
#include <string>

#include "fuzz/source_files.hpp"
#include "shards/sources.hpp"
#include "support/text.hpp"

namespace dovetail::fuzz {
namespace {

/// As numpy.save writes them: the values begin at a multiple of 64.
Bytes npy(int version, const std::string& type, const std::string& shape, const Bytes& values) {
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", type, shape);
  const std::size_t start = version == 1 ? 10 : 12;
  while ((start + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  Bytes bytes = {0x93, 'N', 'U', 'M', 'P', 'Y', static_cast<std::uint8_t>(version), 0};
  bytes.push_back(static_cast<std::uint8_t>(header.size()));
  bytes.push_back(static_cast<std::uint8_t>(header.size() >> 8));
  if (version > 1) bytes.insert(bytes.end(), {0, 0});
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

}  // namespace

std::vector<Bytes> seeds() {
  const Bytes grey = npy(1, "|u1", "(2, 5, 3)", pixels(30));
  const Bytes first = npy(2, "|u1", "(2, 3, 5, 6)", pixels(180));
  const Bytes last = npy(3, "|u1", "(2, 5, 6, 3)", pixels(180));
  const Bytes bytes = npy(1, "|u1", "(2, 1)", {1, 0});
  const Bytes words = npy(1, "<i4", "(2,)", {7, 0, 0, 0, 1, 1, 0, 0});
  Bytes eights(16);
  eights[8] = 3;
  const Bytes longs = npy(1, "<i8", "(2,)", eights);
  return {joined(grey, bytes), joined(first, words), joined(last, longs),
          joined(compressed(grey), compressed(bytes)), joined(compressed(last), longs)};
}

void read(std::span<const std::uint8_t> input) {
  const auto [images, labels] = parted(input);
  in_a_line([&, images = images, labels = labels] {
    expect_whole(read_npy(write("images.npy", images), write("labels.npy", labels)));
  });
}

}  // namespace dovetail::fuzz
