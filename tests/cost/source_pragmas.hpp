// What the pragmas of a file of hls/ say about its memories.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "cost/memories.hpp"

namespace dovetail::cost {

inline std::string hls_text(const std::string& file) {
  std::ifstream in(std::string(DOVETAIL_HLS) + "/" + file);
  EXPECT_TRUE(in) << file;
  return {std::istreambuf_iterator<char>(in), {}};
}

inline Storage storage_of(const std::string& impl) {
  EXPECT_TRUE(impl == "uram" || impl == "bram") << impl;
  return impl == "uram" ? Storage::uram : Storage::bram;
}

/// Every array that a pragma of the file binds, or makes memory words of, is one of `memories`, and
/// bound there as here.
inline void expect_as_in_source(const std::string& file, const std::vector<Memory>& memories) {
  SCOPED_TRACE(file);
  const std::string text = hls_text(file);
  const auto each = [&](const char* pattern, const auto& visit) {
    const std::regex pragma(pattern);
    for (std::sregex_iterator at(text.begin(), text.end(), pragma), end; at != end; ++at)
      visit(*at);
  };
  const auto find = [&](const std::string& variable) {
    const auto found = std::ranges::find_if(memories, [&](const Memory& memory) {
      return memory.source == file && memory.variable == variable;
    });
    EXPECT_NE(found, memories.end()) << variable << " is no memory of the model";
    return found;
  };
  std::vector<std::string> bound;
  each(R"(bind_storage variable = (\w+) type = \w+ impl = (\w+))", [&](const std::smatch& match) {
    const auto memory = find(match[1]);
    if (memory == memories.end()) return;
    EXPECT_EQ(memory->storage, storage_of(match[2])) << match[1];
    bound.push_back(match[1]);
  });
  each(R"(aggregate variable = (\w+))", [&](const std::smatch& match) { find(match[1]); });
  for (const Memory& memory : memories) {
    if (memory.source != file || memory.storage == Storage::automatic) continue;
    EXPECT_NE(std::ranges::find(bound, memory.variable), bound.end())
        << memory.variable << " is bound by no pragma";
  }
}

inline const Memory& memory_named(const std::vector<Memory>& memories, std::string_view source,
                                  std::string_view variable) {
  const auto found = std::ranges::find_if(memories, [&](const Memory& memory) {
    return memory.source == source && memory.variable == variable;
  });
  if (found == memories.end()) throw std::runtime_error("no memory " + std::string(variable));
  return *found;
}

/// `words` of type T: the depth and width of an array in the source.
template <typename T>
void expect_array(const std::vector<Memory>& memories, std::string_view source,
                  std::string_view variable, std::int64_t words, std::int64_t copies = 1) {
  SCOPED_TRACE(std::string(source) + " " + std::string(variable));
  const Memory& memory = memory_named(memories, source, variable);
  EXPECT_EQ(memory.depth, words);
  EXPECT_EQ(memory.width, static_cast<std::int64_t>(sizeof(T)) * 8);
  EXPECT_EQ(memory.copies, copies);
}

/// A stream type's token and depth.
template <typename S>
struct StreamOf;
template <template <typename, int> class S, typename T, int Depth>
struct StreamOf<S<T, Depth>> {
  using Token = T;
  static constexpr int depth = Depth;
};

/// As many streams of the type as the file declares.
template <typename S>
void expect_streams(const std::vector<Memory>& memories, std::string_view source,
                    std::string_view type, std::int64_t count) {
  expect_array<typename StreamOf<S>::Token>(memories, source, type, StreamOf<S>::depth, count);
}

}  // namespace dovetail::cost
