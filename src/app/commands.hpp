// The subcommands of `dovetail`.
#pragma once

#include <string>
#include <vector>

namespace dovetail::app {

using Arguments = std::vector<std::string>;

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Arguments& arguments);  // returns the exit code
};

int run_bench(const Arguments& arguments);
int run_estimate(const Arguments& arguments);
int run_infer(const Arguments& arguments);
int run_shard(const Arguments& arguments);
int run_train(const Arguments& arguments);
int run_verify(const Arguments& arguments);

/// Every subcommand, in the order in which the help lists them.
const std::vector<Command>& commands();

}  // namespace dovetail::app
