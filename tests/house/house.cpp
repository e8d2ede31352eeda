// Holds the sources against the floors of the house and the homes of the third-party APIs.
#include "house/house.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "house/sources.hpp"

namespace dovetail::house {
namespace {

/// A room includes and links only rooms of lower floors.
const std::map<std::string, int> floors{
    {"support", 0}, {"numeric", 1}, {"device", 1}, {"tensor", 2}, {"ops", 3},  {"shards", 3},
    {"comm", 3},    {"model", 4},   {"quant", 4},  {"plan", 5},   {"cost", 5}, {"train", 6},
    {"infer", 6},   {"bench", 6},   {"verify", 7}, {"app", 8}};

/// A third-party API: the start of its headers' names, and where they may be included. A home that
/// is one file is a door: others get the API by including that file. A home that is a folder keeps
/// it inside.
struct Api {
  std::string headers;
  std::vector<std::string> homes;
};

const std::vector<std::string> xrt_homes{"src/device/xrt/", "hls/card/"};

const std::vector<Api> apis{
    {"CL/", {"src/device/opencl/"}},
    {"xrt/", xrt_homes},
    {"experimental/xrt", xrt_homes},
    {"xrt.h", xrt_homes},
    {"xrt_", xrt_homes},
    {"ert.h", xrt_homes},
    {"xclbin.h", xrt_homes},
    {"version.h", xrt_homes},
    {"hdf5", {"src/shards/"}},
    {"H5", {"src/shards/"}},
    {"mpi.h", {"src/comm/"}},
    {"boost/program_options", {"src/app/"}},
    {"nlohmann/", {"src/support/json.hpp"}},
    {"fmt/", {"src/support/text.hpp"}},
    {"spdlog/", {"src/support/"}},
    {"openssl/", {"src/support/"}},
    {"zlib.h", {"src/support/"}},
};

const std::set<std::string> empty_names{"misc", "util", "utils", "common", "helper", "helpers"};

/// Component `index` of a path: component("src/ops/matmul.cpp", 1) is "ops".
std::string component(const std::string& path, int index) {
  for (const auto& part : std::filesystem::path(path)) {
    if (index-- == 0) return part.string();
  }
  return "";
}

/// Headers that the build writes stand in no folder.
bool is_generated(const std::string& header) {
  return header.starts_with("dovetail_") && header.find('/') == std::string::npos;
}

std::string arrow(const std::string& from, const std::string& to) {
  const bool sideways = floors.at(from) == floors.at(to);
  return from + " looks " + (sideways ? "sideways" : "up") + " to " + to;
}

const Api* api_of(const std::string& header) {
  const auto found = std::find_if(apis.begin(), apis.end(),
                                  [&](const Api& api) { return header.starts_with(api.headers); });
  return found == apis.end() ? nullptr : &*found;
}

bool is_home(const Api& api, const std::string& path) {
  return std::any_of(api.homes.begin(), api.homes.end(),
                     [&](const std::string& home) { return path.starts_with(home); });
}

bool is_door(const Api& api) {
  return !api.homes.front().ends_with('/');
}

/// What one inspection knows and has found so far.
class Inspector {
 public:
  explicit Inspector(const Tree& tree) : tree_(tree) {
    for (const Source& source : tree.sources) by_path_[source.path] = &source;
  }

  std::vector<Finding> inspect() {
    for (const Source& source : tree_.sources) {
      check_opening(source);
      check_name(source);
      const std::string place = component(source.path, 0);
      if (place == "src") check_room(source);
      if (place == "hls") check_hls(source);
    }
    for (const auto& [room, links] : tree_.links) check_links(room, links);
    return findings_;
  }

 private:
  void add(const std::string& file, int line, const std::string& problem) {
    findings_.push_back({file, line, problem});
  }

  void check_opening(const Source& source) {
    if (!source.opening.ends_with('.')) add(source.path, 1, "does not open with a sentence");
  }

  void check_name(const Source& source) {
    for (const auto& part : std::filesystem::path(source.path)) {
      std::istringstream words(part.stem().string());
      for (std::string word; std::getline(words, word, '_');) {
        if (empty_names.contains(word))
          add(source.path, 0, "is named '" + word + "', which says nothing");
      }
    }
  }

  void check_room(const Source& source) {
    const std::string room = component(source.path, 1);
    if (!floors.contains(room)) return add(source.path, 0, "stands in no room");
    for (const Include& include : source.includes) {
      check_home(source, include);
      if (!include.quoted || api_of(include.target) || is_generated(include.target)) continue;
      const std::string target = component(include.target, 0);
      if (!floors.contains(target)) {
        add(source.path, include.line, "includes " + include.target + ", which names no room");
      } else if (target != room && floors.at(target) >= floors.at(room)) {
        add(source.path, include.line, "includes " + include.target + ": " + arrow(room, target));
      } else {
        check_link(source, include, room, target);
        check_leak(source, include);
      }
    }
  }

  /// What becomes hardware knows the number formats alone; the tool beside the emulated card is a
  /// program of the host.
  void check_hls(const Source& source) {
    const bool is_tool = source.path.starts_with("hls/card/tool/");
    for (const Include& include : source.includes) {
      check_home(source, include);
      const std::string target = component(include.target, 0);
      if (!include.quoted || !floors.contains(target) || target == "numeric") continue;
      if (is_tool && target == "support") continue;
      add(source.path, include.line,
          "includes " + include.target + ", but hls/ knows numeric alone");
    }
  }

  void check_home(const Source& source, const Include& include) {
    const Api* api = api_of(include.target);
    if (api == nullptr || is_home(*api, source.path)) return;
    add(source.path, include.line,
        "includes " + include.target + ", whose home is " + api->homes.front());
  }

  /// An include that crosses rooms needs a link, direct or through other rooms.
  void check_link(const Source& source, const Include& include, const std::string& room,
                  const std::string& target) {
    if (target == room || linked_from(room).contains(target)) return;
    add(source.path, include.line,
        "includes " + include.target + ", but its room does not link " + target);
  }

  /// A header that brings a third-party API along may be included only in that API's home.
  void check_leak(const Source& source, const Include& include) {
    std::set<std::string> seen;
    for (const Api* api : apis_brought_by("src/" + include.target, seen)) {
      if (is_door(*api) || is_home(*api, source.path)) continue;
      add(source.path, include.line, "gets " + api->headers + " through " + include.target);
    }
  }

  void check_links(const std::string& room, const std::set<std::string>& links) {
    if (!floors.contains(room)) return;
    for (const std::string& target : links) {
      if (target == room || !floors.contains(target) || floors.at(target) < floors.at(room))
        continue;
      add("src/" + room + "/CMakeLists.txt", 0,
          "links dovetail_" + target + ": " + arrow(room, target));
    }
  }

  /// The rooms that `room` links, directly or through the rooms it links.
  std::set<std::string> linked_from(const std::string& room) const {
    std::set<std::string> reached;
    std::vector<std::string> open{room};
    while (!open.empty()) {
      const auto found = tree_.links.find(open.back());
      open.pop_back();
      if (found == tree_.links.end()) continue;
      for (const std::string& target : found->second) {
        if (reached.insert(target).second) open.push_back(target);
      }
    }
    return reached;
  }

  std::set<const Api*> apis_brought_by(const std::string& path, std::set<std::string>& seen) const {
    std::set<const Api*> brought;
    const auto found = by_path_.find(path);
    if (found == by_path_.end() || !seen.insert(path).second) return brought;
    for (const Include& include : found->second->includes) {
      if (const Api* api = api_of(include.target)) {
        brought.insert(api);
      } else if (include.quoted) {
        brought.merge(apis_brought_by("src/" + include.target, seen));
      }
    }
    return brought;
  }

  const Tree& tree_;
  std::map<std::string, const Source*> by_path_;
  std::vector<Finding> findings_;
};

}  // namespace

Inspection inspect(const std::filesystem::path& root) {
  const Tree tree = read_tree(root);
  return {static_cast<int>(tree.sources.size()), Inspector(tree).inspect()};
}

}  // namespace dovetail::house
