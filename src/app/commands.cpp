// The table of subcommands.
#include "app/commands.hpp"

namespace dovetail::app {

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"devices", "list the OpenCL and XRT devices of this host", run_devices},
      {"shard", "turn a data set into HDF5 shards", run_shard},
      {"train", "train a model (under mpirun)", run_train},
      {"infer", "predict with a trained model (under mpirun)", run_infer},
  };
  return table;
}

}  // namespace dovetail::app
