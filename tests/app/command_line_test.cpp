// Arguments and configuration files that Boost.Program_options alone cannot be given.
#include "app/command_line.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "support/error.hpp"
#include "support/scratch_folder.hpp"

namespace dovetail::app {
namespace {

class Placeholders : public ::testing::TestWithParam<std::string> {
 protected:
  static void parse(const std::vector<std::string>& arguments) {
    int number = 1;
    CommandLine line("usage", "summary");
    line.add("number", number, "a number");
    line.parse(arguments);
  }
};

TEST_P(Placeholders, OfBoostsOwnMessagesAreRefusedInsteadOfHanging) {
  EXPECT_THROW(parse({"--number", GetParam()}), UsageError);
  const ScratchFolder folder;
  const std::string file = (folder / "config.ini").string();
  std::ofstream(file) << "number = " << GetParam() << "\n";
  EXPECT_THROW(parse({"--config", file}), UsageError);
}

INSTANTIATE_TEST_SUITE_P(CommandLine, Placeholders,
                         ::testing::Values("%value%", "1%option%", "%canonical_option%",
                                           "%invalid_line%", "%original_token%", "%prefix%"));

}  // namespace
}  // namespace dovetail::app
