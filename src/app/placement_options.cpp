// Placement from options.
#include "app/placement_options.hpp"

#include <cmath>

#include "app/job.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail::app {
namespace {

std::optional<fpga::Backend> parse_backend(const std::string& name) {
  if (name == "auto") return std::nullopt;
  if (name == "card") return fpga::Backend::card;
  if (name == "emulated") return fpga::Backend::emulated;
  throw UsageError(fmt::format("unknown FPGA backend '{}'", name),
                   "Known backends: auto, card, emulated");
}

}  // namespace

void PlacementOptions::add_to(CommandLine& line, const std::string& gpu_help,
                              const std::string& fpga_help) {
  line.add("gpu-ranks", gpu_ranks, gpu_help);
  line.add("fpga-ranks", fpga_ranks, fpga_help);
  line.add("fpga-backend", backend,
           "card, emulated, or auto: emulated only where there is no card");
  line.add("fpga-timeout", card_timeout_s, "seconds after which a kernel counts as hung");
}

Placement place_job(Communicator& world, const PlacementOptions& options) {
  if (!(options.card_timeout_s > 0) || std::isinf(options.card_timeout_s)) {
    throw UsageError(
        fmt::format("--fpga-timeout {} is not a positive time", options.card_timeout_s),
        "Give seconds, such as 30");
  }
  Placement placement =
      place(world, {options.gpu_ranks, options.fpga_ranks, parse_backend(options.backend)});
  log::set_quiet(world.rank() != 0);  // the ranks may have been numbered anew
  const RankPlacement& mine = placement.mine();
  set_device_in_errors(fmt::format("{} {}", to_string(mine.device.kind), mine.device.name));
  log::note(to_text(placement));
  for (const std::string& notice : placement.notices) log::note(notice);
  return placement;
}

}  // namespace dovetail::app
