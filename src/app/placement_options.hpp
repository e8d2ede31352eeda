// The options that say where a job's ranks run, and what follows from them.
#pragma once

#include <optional>
#include <string>

#include "app/command_line.hpp"
#include "comm/placement.hpp"

namespace dovetail::app {

struct PlacementOptions {
  std::optional<int> gpu_ranks;
  std::optional<int> fpga_ranks;
  std::string devices;  // OpenCL devices by index, such as "0,1"; empty: as place() chooses
  std::string backend = "auto";
  double card_timeout_s = 30;

  /// @param gpu_help, fpga_help  what these ranks do, and how many there are by default.
  void add_to(CommandLine& line, const std::string& gpu_help, const std::string& fpga_help);
};

/// Places the ranks, says what ran where, and makes this rank's device known to error messages.
/// Collective.
Placement place_job(Communicator& world, const PlacementOptions& options);

}  // namespace dovetail::app
