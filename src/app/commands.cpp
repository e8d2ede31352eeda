// The table of subcommands.
#include "app/commands.hpp"

#include "app/command_line.hpp"
#include "app/devices.hpp"

namespace dovetail::app {
namespace {

int run_devices(const Arguments& arguments) {
  std::string json_file;
  CommandLine line("usage: dovetail devices [--json FILE]",
                   "Lists the OpenCL and XRT devices of this host.");
  line.add("json", json_file, "write the list as JSON; `-` is standard output");
  if (line.parse(arguments)) report_devices(json_file);
  return 0;
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"devices", "list the OpenCL and XRT devices of this host", run_devices},
      {"shard", "turn a data set into HDF5 shards", run_shard},
      {"train", "train a model (under mpirun)", run_train},
      {"infer", "predict with a trained model (under mpirun)", run_infer},
      {"verify", "prove that all kernels compute the same bits", run_verify},
      {"estimate", "model what a network would cost on an FPGA card", run_estimate},
      {"bench", "measure kernels, steps and links against the device's ceilings", run_bench},
  };
  return table;
}

}  // namespace dovetail::app
