// Reads CIFAR binary files: records of a label byte (two for CIFAR-100: coarse, fine) and a 3×32×32
// image.
#include <fstream>

#include "shards/sources.hpp"
#include "support/error.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

constexpr SampleShape cifar_shape{3, 32, 32};

std::size_t label_bytes(std::size_t classes) {
  return classes == 100 ? 2 : 1;
}
std::size_t record_bytes(std::size_t classes) {
  return label_bytes(classes) + cifar_shape.bytes();
}

std::size_t classes_by_size(std::size_t bytes, const fs::path& file) {
  const bool ten = bytes % record_bytes(10) == 0;
  const bool hundred = bytes % record_bytes(100) == 0;
  if (ten && hundred) {
    throw Error(fmt::format("{} can be CIFAR-10 as well as CIFAR-100 by its size", file.string()),
                "Give the number of classes");
  }
  if (!ten && !hundred) {
    throw Error(
        fmt::format("{} has {} bytes: neither whole CIFAR-10 records of {} bytes nor CIFAR-100 "
                    "records of {}",
                    file.string(), bytes, record_bytes(10), record_bytes(100)),
        "The file is truncated or of another format");
  }
  return ten ? 10 : 100;
}

// One name a line; anything but exactly one per class counts as not known.
std::vector<std::string> read_class_names(const fs::path& folder, std::size_t classes) {
  std::ifstream in(folder / (classes == 10 ? "batches.meta.txt" : "fine_label_names.txt"));
  std::vector<std::string> names;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  return names.size() == classes ? names : std::vector<std::string>{};
}

void append_file(const fs::path& file, const std::vector<std::uint8_t>& bytes, Samples& samples) {
  const std::size_t record = record_bytes(samples.classes);
  if (bytes.size() % record != 0) {
    throw Error(fmt::format("{} has {} bytes: no whole CIFAR-{} records of {} bytes", file.string(),
                            bytes.size(), samples.classes, record),
                "The file is truncated or of another format");
  }
  const std::size_t labels = label_bytes(samples.classes);
  for (std::size_t at = 0; at < bytes.size(); at += record) {
    const std::uint8_t label = bytes[at + labels - 1];
    if (label >= samples.classes) {
      throw Error(fmt::format("{}: record {} has label {}; CIFAR-{} has labels 0 to {}",
                              file.string(), at / record, label, samples.classes,
                              samples.classes - 1));
    }
    samples.labels.push_back(label);
    samples.images.insert(samples.images.end(), &bytes[at + labels],
                          &bytes[at + labels] + cifar_shape.bytes());
  }
}

}  // namespace

Samples read_cifar(std::span<const fs::path> files, std::size_t classes) {
  if (files.empty()) throw UsageError("no CIFAR file is given");
  if (classes != 0 && classes != 10 && classes != 100) {
    throw UsageError(fmt::format("CIFAR has 10 or 100 classes, not {}", classes));
  }
  Samples samples;
  samples.origin = files.front().string();
  samples.shape = cifar_shape;
  samples.classes = classes;
  for (const fs::path& file : files) {
    const std::vector<std::uint8_t> bytes = source::read_bytes(file);
    if (samples.classes == 0) samples.classes = classes_by_size(bytes.size(), file);
    append_file(file, bytes, samples);
  }
  samples.class_names = read_class_names(files.front().parent_path(), samples.classes);
  return samples;
}

}  // namespace dovetail
