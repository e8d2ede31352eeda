// make_xclbin on descriptions: what it writes is the same every time, and what it refuses it names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support/file.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class XclbinTool : public testing::Test {
 protected:
  int make(const std::string& arguments) {
    const std::string line =
        std::string(MAKE_XCLBIN) + " " + arguments + " 2> " + (folder_ / "errors").string();
    return WEXITSTATUS(std::system(line.c_str()));
  }

  /// What the tool says about a description.
  std::string problem(const std::string& description) {
    replace_file_text(folder_ / "d.json", description);
    EXPECT_NE(
        make("adapters " + (folder_ / "d.json").string() + " " + (folder_ / "out.cpp").string()),
        0);
    return text("errors");
  }

  std::string text(const char* name) {
    const auto bytes = read_file(folder_ / name);
    return {bytes.begin(), bytes.end()};
  }

  ScratchFolder folder_;
};

constexpr const char* good =
    R"({"family": "f", "kernels": [{"name": "k", "compute_units": 2, "arguments": [
  {"name": "data", "type": "const std::int8_t*", "bundle": "gmem0", "bank": [0, 5]},
  {"name": "wide", "type": "std::int64_t"}, {"name": "n", "type": "std::int32_t"}]}]})";

TEST_F(XclbinTool, GivesArgumentsTheRegistersOfVitis) {
  replace_file_text(folder_ / "d.json", good);
  ASSERT_EQ(
      make("adapters " + (folder_ / "d.json").string() + " " + (folder_ / "out.cpp").string()), 0);
  EXPECT_THAT(text("out.cpp"), HasSubstr(R"({"data", 0x10, 8, true})"));
  EXPECT_THAT(text("out.cpp"), HasSubstr(R"({"wide", 0x1c, 8, false})"));
  EXPECT_THAT(text("out.cpp"), HasSubstr(R"({"n", 0x28, 4, false})"));
}

TEST_F(XclbinTool, WritesTheSameFileForTheSameContent) {
  replace_file_text(folder_ / "d.json", good);
  replace_file_text(folder_ / "kernels.so", "\177ELF stands for a library here");
  const std::string start =
      "pack " + (folder_ / "d.json").string() + " " + (folder_ / "kernels.so").string() + " ";
  ASSERT_EQ(make(start + (folder_ / "one").string()), 0);
  ASSERT_EQ(make(start + (folder_ / "two").string()), 0);
  EXPECT_EQ(text("one"), text("two"));
  EXPECT_EQ(text("one").substr(0, 7), "xclbin2");
}

TEST_F(XclbinTool, NamesWhatIsWrong) {
  EXPECT_THAT(problem("{"), HasSubstr("d.json"));
  EXPECT_THAT(problem(R"({"family": "f", "kernels": []})"), HasSubstr("there is no kernel"));
  EXPECT_THAT(
      problem(
          R"({"family": "f", "kernels": [{"name": "k", "arguments": [{"name": "x", "type": "half"}]}]})"),
      HasSubstr("'half' is no scalar type"));
  EXPECT_THAT(problem(R"({"family": "f", "kernels": [{"name": "k", "arguments": [
                {"name": "x", "type": "int*", "bundle": "gmem0", "bank": 32}]}]})"),
              HasSubstr("argument x: there is no bank 32"));
  EXPECT_THAT(
      problem(
          R"({"family": "f", "kernels": [{"name": "k", "arguments": [{"name": "x", "type": "int*"}]}]})"),
      HasSubstr("bundle"));
  EXPECT_THAT(
      problem(
          R"({"family": "f", "kernels": [{"name": "k", "arguments": []}, {"name": "k", "arguments": []}]})"),
      HasSubstr("kernel k is described twice"));
}

}  // namespace
}  // namespace dovetail
