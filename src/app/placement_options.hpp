// The options that say where a job's ranks run, and what follows from them.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "app/command_line.hpp"
#include "comm/placement.hpp"
#include "device/xrt/card.hpp"
#include "infer/inference.hpp"

namespace dovetail::app {

struct PlacementOptions {
  std::optional<int> gpu_ranks;
  std::optional<int> fpga_ranks;
  std::string backend = "auto";
  double card_timeout_s = 30;

  void add_to(CommandLine& line);
};

/// Places the ranks, says what ran where, and makes this rank's device known to error messages.
/// Collective.
Placement place_job(Communicator& world, const PlacementOptions& options);

/// An FPGA rank's card, and the inference engines on it.
class CardEngines {
 public:
  /// Opens the card. Throws Error where it or its xclbin is of no use.
  CardEngines(const RankPlacement& placement, const PlacementOptions& options);
  /// An engine for a format of quant::pack_formats().
  std::unique_ptr<infer::Inference> open(const std::string& format) const;

 private:
  std::unique_ptr<fpga::Card> card_;
};

}  // namespace dovetail::app
