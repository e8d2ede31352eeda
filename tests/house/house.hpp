// The rules of the house, checked on the sources: who may include and link whom, and where each
// third-party API lives.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace dovetail::house {

/// One broken rule.
struct Finding {
  std::string file;  // relative to the root of the repository
  int line = 0;      // 0: the whole file
  std::string problem;
};

struct Inspection {
  int sources = 0;  // files looked at
  std::vector<Finding> findings;
};

/// Holds the tree below `root` against the rules. Throws std::filesystem::filesystem_error where it
/// cannot be read.
Inspection inspect(const std::filesystem::path& root);

}  // namespace dovetail::house
