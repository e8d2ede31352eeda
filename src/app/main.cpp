// dovetail: GPU ranks train, FPGA ranks infer, in one MPI job.
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "app/commands.hpp"
#include "comm/mpi_session.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace {

using namespace dovetail;

void print_usage() {
  std::string text = "usage: dovetail <command> [options]\n\n";
  for (const app::Command& command : app::commands())
    text += fmt::format("  {:<9} {}\n", command.name, command.summary);
  log::note(text + "\n`dovetail <command> --help` lists a command's options.");
}

}  // namespace

int main(int argc, char** argv) {
  const app::Arguments words(argv + 1, argv + argc);
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_usage();
    return words.empty() ? 2 : 0;
  }
  const auto& table = app::commands();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const auto& c) { return words[0] == c.name; });
  if (found == table.end()) {
    fail_job(fmt::format("dovetail: unknown command '{}'. `dovetail --help` lists the commands",
                         words[0]),
             2);
  }
  try {
    return found->run({words.begin() + 1, words.end()});
  } catch (const UsageError& failure) {
    fail_job(fmt::format("dovetail {}: {}", words[0], failure.what()), 2);
  } catch (const std::exception& failure) {
    fail_job(fmt::format("dovetail {}: {}", words[0], failure.what()), 1);
  }
}
