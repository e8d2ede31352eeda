// What the tests of this room share: random samples, files made of bytes, caught errors.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "shards/samples.hpp"
#include "support/error.hpp"
#include "support/file.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace fs = std::filesystem;
}

namespace dovetail::test {

using Bytes = std::vector<std::uint8_t>;

inline void write_file(const fs::path& path, const Bytes& bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

inline void flip_bit(const fs::path& path, std::size_t byte, int bit) {
  Bytes bytes = read_file(path);
  bytes.at(byte) ^= static_cast<std::uint8_t>(1 << bit);
  write_file(path, bytes);
}

inline Samples random_samples(std::size_t count, const SampleShape& shape, std::uint32_t seed = 1,
                              std::size_t classes = 10) {
  std::mt19937 random(seed);
  Samples samples;
  samples.shape = shape;
  samples.origin = "random";
  samples.images.resize(count * shape.bytes());
  for (auto& pixel : samples.images) pixel = static_cast<std::uint8_t>(random());
  for (std::size_t i = 0; i < count; ++i) {
    samples.labels.push_back(static_cast<std::int32_t>(i < classes ? i : random() % classes));
  }
  return samples;
}

/// The message of the Error that `action` throws; empty where it throws none. Fails where it isn't
/// one line.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& failure) {
    const std::string text = failure.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  return "";
}

}  // namespace dovetail::test
