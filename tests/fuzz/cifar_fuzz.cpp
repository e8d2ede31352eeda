// CIFAR's binary files, as `dovetail shard` imports them: a batch, and the classes' names beside
// it.
#include <cstdlib>
#include <string_view>

#include "fuzz/source_files.hpp"
#include "shards/manifest.hpp"
#include "shards/sources.hpp"

namespace dovetail::fuzz {
namespace {

Bytes records(const std::vector<Bytes>& labels) {
  Bytes bytes;
  const Bytes image = pixels(3072);
  for (const Bytes& label : labels) {
    bytes.insert(bytes.end(), label.begin(), label.end());
    bytes.insert(bytes.end(), image.begin(), image.end());
  }
  return bytes;
}

}  // namespace

std::vector<Bytes> seeds() {
  constexpr std::string_view text =
      "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n";
  const Bytes names(text.begin(), text.end());
  const Bytes ten = records({{9}, {3}}), hundred = records({{19, 99}});
  return {joined(ten, names), joined(hundred, {}), joined(compressed(ten), names),
          joined(compressed(hundred), {})};
}

void read(std::span<const std::uint8_t> input) {
  const auto [batch, names] = parted(input);
  write("batches.meta.txt", names);
  const std::vector<std::filesystem::path> files = {write("batch.bin", batch)};
  Samples samples;
  in_a_line([&] { samples = read_cifar(files); });
  expect_whole(samples);
  // The data set's manifest names them.
  Manifest manifest;
  manifest.classes = samples.classes;
  manifest.shape = samples.shape;
  manifest.class_names = samples.class_names;
  manifest.save(folder());
  if (Manifest::load(folder()).class_names.size() != samples.class_names.size()) std::abort();
}

}  // namespace dovetail::fuzz
