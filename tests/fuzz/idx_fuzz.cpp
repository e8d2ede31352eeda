// IDX files, as `dovetail shard` imports them: images and labels.
#include "fuzz/source_files.hpp"
#include "shards/sources.hpp"

namespace dovetail::fuzz {
namespace {

Bytes idx(const std::vector<std::uint8_t>& extents, const Bytes& values) {
  Bytes bytes = {0, 0, 8, static_cast<std::uint8_t>(extents.size())};
  for (const std::uint8_t extent : extents) bytes.insert(bytes.end(), {0, 0, 0, extent});
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

}  // namespace

std::vector<Bytes> seeds() {
  const Bytes grey = idx({4, 5, 3}, pixels(60)), colours = idx({2, 3, 4, 5}, pixels(120));
  const Bytes four = idx({4}, {0, 1, 2, 3}), two = idx({2}, {1, 0});
  return {joined(grey, four), joined(colours, two), joined(compressed(grey), compressed(four)),
          joined(compressed(colours), two)};
}

void read(std::span<const std::uint8_t> input) {
  const auto [images, labels] = parted(input);
  in_a_line([&, images = images, labels = labels] {
    expect_whole(read_idx(write("images", images), write("labels", labels)));
  });
}

}  // namespace dovetail::fuzz
