// --no-cache, and the order in which the ranks of a host build and measure kernels.
#pragma once

#include <memory>

#include "app/command_line.hpp"
#include "comm/communicator.hpp"
#include "plan/tuner.hpp"
#include "support/activity.hpp"
#include "support/cache_folder.hpp"

namespace dovetail::app {

struct CacheOption {
  bool is_off = false;

  void add_to(CommandLine& line) {
    line.add_flag("no-cache", is_off,
                  "neither read nor write built kernels and choices in the user's cache folder");
  }
  /// Null where there is none.
  std::shared_ptr<CacheFolder> folder() const { return is_off ? nullptr : CacheFolder::of_user(); }
};

/// Calls `make` on each rank: first on one rank of each host, which measures in quiet and fills the
/// cache, then on the others, which take over its choices. Collective.
template <typename Make>
auto make_host_by_host(const Communicator& ranks, plan::Tuner& tuner, Make make) {
  activity::enter("kernels", 0, activity::Kind::wait);
  int first = 0;  // rank of this host
  while (ranks.hosts()[static_cast<std::size_t>(first)] != ranks.host()) ++first;
  const Communicator host = *ranks.split(first, ranks.rank());
  std::string choices;
  if (!host.is_lead()) {
    host.broadcast_text(choices, 0);
    tuner.listen(choices);
  }
  activity::enter("kernels", 0);
  auto made = make();
  activity::enter("kernels", 0, activity::Kind::wait);
  if (host.is_lead()) {
    choices = tuner.tell();
    host.broadcast_text(choices, 0);
  }
  return made;
}

}  // namespace dovetail::app
