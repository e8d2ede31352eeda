// A folder for one test, removed at its end.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

#include "support/text.hpp"

namespace dovetail::testing {

class Scratch {
 public:
  /// @param key tells apart folders of one process; ranks that share a folder give the same key and
  /// `owner`.
  explicit Scratch(const std::string& key, long owner = ::getpid(), bool remove = true)
      : path_(std::filesystem::temp_directory_path() / fmt::format("dovetail-{}-{}", key, owner)),
        remove_(remove) {
    std::filesystem::create_directories(path_);
  }
  ~Scratch() {
    std::error_code ignored;
    if (remove_) std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool remove_;
};

}  // namespace dovetail::testing
