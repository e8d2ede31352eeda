// The source tree as text: files with their includes, and the links that each room's CMake files
// name.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace dovetail::house {

struct Include {
  int line = 0;        // counts from 1
  std::string target;  // what stands between the quotes or angle brackets
  bool quoted = false;
};

struct Source {
  std::string path;  // relative to the root: "src/ops/matmul.cpp"
  std::vector<Include> includes;
  std::string
      opening;  // the first paragraph of the comment that the file opens with; empty without one
};

struct Tree {
  std::vector<Source> sources;  // C++ and OpenCL C, sorted by path
  std::map<std::string, std::set<std::string>>
      links;  // folder in src/ → names X of the `dovetail_X` in its CMake files
};

/// Reads src/, hls/, kernels/ and tests/ below `root`; folders that are not there count as empty.
/// Throws std::filesystem::filesystem_error where the tree cannot be read.
Tree read_tree(const std::filesystem::path& root);

}  // namespace dovetail::house
