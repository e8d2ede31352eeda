// The kernels' sources as Vitis HLS reads them: dataflow regions in canonical form, and registers
// that say they are.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace dovetail {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  EXPECT_TRUE(in) << file;
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<fs::path> kernel_sources() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(DOVETAIL_HLS)) {
    const fs::path& file = entry.path();
    const bool is_source = file.extension() == ".hpp" || file.extension() == ".cpp";
    if (is_source && file.filename() != "dataflow.hpp") files.push_back(file);
  }
  return files;
}

/// What stands between a region's opening brace and its closing one, with pragmas left out.
struct Region {
  std::string before;  // up to the brace
  std::string body;
};

std::vector<Region> regions_of(const std::string& text, const std::string& mark) {
  std::vector<Region> regions;
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
    const std::size_t begin = text.rfind(") {\n", at) + 4;
    const std::string body = text.substr(begin, text.find('}', at) - begin);
    regions.push_back(
        {text.substr(0, begin), std::regex_replace(body, std::regex("#pragma.*"), "")});
  }
  return regions;
}

/// Declarations without a value, and calls whose arguments are names or constants. Each channel is
/// the argument of two calls.
void expect_canonical(const std::string& body) {
  static const std::regex declaration(R"(([\w:]+(?:<\w+>)?) (\w+(?:, \w+)*))");
  static const std::regex call(R"((\w+)(?:<\w+>)?\((\w+(?:, \w+)*)\))");
  static const std::regex stage(R"(DATAFLOW_STAGE\((\w+)(?:<\w+>)?, (\w+(?:, \w+)*)\))");
  static const std::regex word(R"(\w+)"), space(R"(\s+)");
  std::map<std::string, int> channels;
  const std::string line = std::regex_replace(body, space, " ");
  std::smatch match;
  for (std::size_t at = 0, end = line.find(';'); end != std::string::npos;
       at = end + 1, end = line.find(';', at)) {
    const std::string statement = line.substr(line.find_first_not_of(' ', at), end - at - 1);
    if (statement == "DATAFLOW_BEGIN()" || statement == "DATAFLOW_END()") continue;
    const bool is_stage = std::regex_match(statement, match, stage);
    if (is_stage || std::regex_match(statement, match, call)) {
      const std::string arguments = match[2];
      for (std::sregex_iterator name(arguments.begin(), arguments.end(), word), last; name != last;
           ++name) {
        const auto channel = channels.find(name->str());
        if (channel != channels.end()) ++channel->second;
      }
      continue;
    }
    std::string names = statement;
    names = std::regex_replace(names, std::regex(R"(\[\w+\])"), "");  // of an array
    ASSERT_TRUE(std::regex_match(names, match, declaration)) << statement;
    names = match[2];
    for (std::sregex_iterator name(names.begin(), names.end(), word), last; name != last; ++name)
      channels[name->str()] = 0;
  }
  for (const auto& [channel, uses] : channels) EXPECT_EQ(uses, 2) << channel;
}

TEST(KernelSources, HaveCanonicalDataflowRegions) {
  int regions = 0;
  for (const fs::path& file : kernel_sources()) {
    const std::string text = text_of(file);
    for (const Region& region : regions_of(text, "DATAFLOW_BEGIN();")) {
      SCOPED_TRACE(file.string());
      expect_canonical(region.body);
      ++regions;
    }
  }
  EXPECT_EQ(regions, 9);
}

TEST(KernelSources, HaveCanonicalDataflowRegionsWithinLoops) {
  int regions = 0;
  const std::regex loop(R"(for \(int (\w+) = 0; \1 < \w+; \+\+\1\) \{\n$)");
  for (const fs::path& file : kernel_sources()) {
    const std::string text = text_of(file);
    for (const Region& region : regions_of(text, "#pragma HLS dataflow\n")) {
      SCOPED_TRACE(file.string());
      const std::size_t last = region.before.rfind("for (");
      ASSERT_NE(last, std::string::npos);
      EXPECT_TRUE(std::regex_match(region.before.substr(last), loop));
      expect_canonical(region.body);
      ++regions;
    }
  }
  EXPECT_EQ(regions, 2);
}

TEST(KernelSources, TakeRegistersApart) {
  struct Registers {
    const char* file;
    const char* variable;
    int times;
  };
  for (const Registers& registers : {
           Registers{"bit_serial.hpp", "all.word", 1},  // from any word on, eight a cycle
           Registers{"bit_serial.hpp", "near", 1},
           Registers{"bit_serial.hpp", "ones", 1},
           Registers{"bit_serial.hpp", "below", 1},
           Registers{"bit_serial.hpp", "differing", 1},
           Registers{"bit_serial.hpp", "sums.value", 1},
           Registers{"byte_product.hpp", "codes.byte", 1},  // a part of a chunk that goes round
           Registers{"byte_product.hpp", "marks.byte", 1},
           Registers{"square.hpp", "lane", 1},  // 64 lanes
           Registers{"sliding_window.hpp", "chunk.byte", 1},
           Registers{"training/activation.hpp", "largest.of", 2},  // read in turn at the end
           Registers{"training/matrix_vector.hpp", "sums.value", 1},
       }) {
    const std::string text = text_of(fs::path(DOVETAIL_HLS) / registers.file);
    const std::string pragma =
        std::string("#pragma HLS array_partition variable = ") + registers.variable + " complete";
    int times = 0;
    for (std::size_t at = text.find(pragma); at != std::string::npos;
         at = text.find(pragma, at + 1))
      ++times;
    EXPECT_EQ(times, registers.times) << registers.file << ": " << registers.variable;
  }
}

}  // namespace
}  // namespace dovetail
