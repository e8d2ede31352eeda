// Reads the source tree line by line.
#include "house/sources.hpp"

#include <algorithm>
#include <fstream>
#include <regex>

namespace dovetail::house {
namespace {

namespace fs = std::filesystem;

bool is_source(const fs::path& path) {
  static const std::set<std::string> extensions{".cpp", ".hpp", ".h", ".c", ".cl"};
  return extensions.contains(path.extension().string());
}

bool is_cmake(const fs::path& path) {
  return path.filename() == "CMakeLists.txt" || path.extension() == ".cmake";
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!fs::exists(folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Source read_source(const fs::path& root, const fs::path& file) {
  static const std::regex include(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  Source source;
  source.path = fs::relative(file, root).generic_string();
  std::ifstream in(file);
  bool in_opening = true;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    in_opening = in_opening && line.starts_with("// ");
    if (in_opening) source.opening += line.substr(2);
    std::smatch found;
    if (std::regex_search(line, found, include)) {
      source.includes.push_back({number, found[2], found[1] == "\""});
    }
  }
  return source;
}

/// Every X of a `dovetail_X` outside comments: what the room links, in whichever command says so.
std::set<std::string> read_links(const fs::path& file) {
  static const std::regex target("\\bdovetail_([a-z]+)\\b");
  std::set<std::string> names;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    line.resize(std::min(line.size(), line.find('#')));
    for (std::sregex_iterator at(line.begin(), line.end(), target), end; at != end; ++at) {
      names.insert((*at)[1]);
    }
  }
  return names;
}

}  // namespace

Tree read_tree(const fs::path& root) {
  Tree tree;
  for (const char* folder : {"hls", "kernels", "src", "tests"}) {
    for (const fs::path& file : files_below(root / folder)) {
      if (is_source(file)) tree.sources.push_back(read_source(root, file));
    }
  }
  for (const fs::path& file : files_below(root / "src")) {
    const fs::path below = fs::relative(file, root / "src");
    if (is_cmake(file) && below.has_parent_path()) {
      tree.links[below.begin()->string()].merge(read_links(file));
    }
  }
  return tree;
}

}  // namespace dovetail::house
