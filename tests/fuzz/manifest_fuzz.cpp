// Manifests of data set folders.
#include "fuzz/target.hpp"
#include "shards/manifest.hpp"
#include "support/file.hpp"

namespace dovetail::fuzz {

std::vector<Bytes> seeds() {
  Manifest manifest;
  manifest.name = "seed";
  manifest.classes = 3;
  manifest.class_names = {"one", "two", "three"};
  manifest.shape = {2, 4, 5};
  manifest.mean = {0.25, 0.5};
  manifest.standard_deviation = {0.125, 0.25};
  const std::string sum(64, 'a');
  manifest.splits["train"] = {7, {{"train-00000.h5", 4, sum}, {"train-00001.h5", 3, sum}}};
  manifest.splits["test"] = {2, {{"test-00000.h5", 2, sum}}, WrongLabelsMade{1, 9}};
  manifest.save(folder());
  return {read_file(folder() / Manifest::file_name)};
}

void read(std::span<const std::uint8_t> input) {
  write(Manifest::file_name, input);
  const Manifest manifest = Manifest::load(folder());
  // What is taken can be written, and reads back the same.
  manifest.save(folder());
  const Bytes once = read_file(folder() / Manifest::file_name);
  Manifest::load(folder()).save(folder());
  if (once != read_file(folder() / Manifest::file_name)) std::abort();
}

}  // namespace dovetail::fuzz
