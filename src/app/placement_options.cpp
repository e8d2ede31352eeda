// Placement from options.
#include "app/placement_options.hpp"

#include <algorithm>

#include "app/expect.hpp"
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

std::vector<int> parse_devices(const std::string& text) {
  std::vector<int> devices;
  if (text.empty()) return devices;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, comma - begin);
    if (word.empty() || word.size() > 4 || word.find_first_not_of("0123456789") != word.npos) {
      throw UsageError(fmt::format("--devices '{}' is no list of devices", text),
                       "Give numbers as `dovetail devices` shows them, such as 0,1");
    }
    devices.push_back(std::stoi(word));
    begin = comma + 1;
  }
  return devices;
}

}  // namespace

void PlacementOptions::add_to(CommandLine& line, const std::string& gpu_help,
                              const std::string& fpga_help) {
  line.add("gpu-ranks", gpu_ranks, gpu_help);
  line.add("fpga-ranks", fpga_ranks, fpga_help);
  line.add("devices", devices,
           "OpenCL devices that the GPU ranks of each host take in turn, as `dovetail devices` "
           "numbers them, such as 0,1; by default its GPUs, else its CPU");
  line.add("fpga-backend", backend,
           "card, emulated, or auto: emulated only where there is no card");
  line.add("fpga-timeout", card_timeout_s, "seconds after which a kernel counts as hung");
}

Placement place_job(Communicator& world, const PlacementOptions& options) {
  expect_timeout("fpga-timeout", options.card_timeout_s);
  Placement placement =
      place(world, {options.gpu_ranks, options.fpga_ranks, parse_backend(options.backend),
                    parse_devices(options.devices)});
  log::set_quiet(world.rank() != 0);  // the ranks may have been numbered anew
  const RankPlacement& mine = placement.mine();
  set_device_in_errors(fmt::format("{} {}", to_string(mine.device.kind), mine.device.name));
  log::note(to_text(placement));
  for (const std::string& notice : placement.notices) log::note(notice);
  return placement;
}

}  // namespace dovetail::app
