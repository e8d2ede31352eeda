// Decides which ranks train and which infer.
#include <algorithm>
#include <map>
#include <numeric>

#include "comm/placement.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using fpga::Backend;

bool usable(const DeviceInfo& device) {
  return device.unusable.empty();
}

/// A host's ranks in their order, and how many of its cards are usable.
struct Host {
  std::string name;
  std::vector<std::size_t> ranks{};
  int cards = 0;
};

std::vector<Host> group_by_host(const std::vector<RankSite>& sites) {
  std::vector<Host> hosts;
  for (std::size_t rank = 0; rank < sites.size(); ++rank) {
    const RankSite& site = sites[rank];
    auto host = std::find_if(hosts.begin(), hosts.end(),
                             [&](const Host& h) { return h.name == site.host; });
    if (host == hosts.end()) host = hosts.insert(host, Host{.name = site.host});
    host->ranks.push_back(rank);
    host->cards = std::max(
        host->cards, static_cast<int>(std::count_if(site.cards.begin(), site.cards.end(), usable)));
  }
  return hosts;
}

Backend choose_backend(const std::vector<RankSite>& sites, const PlacementRequest& request) {
  if (request.backend) return *request.backend;
  const bool any_card =
      std::any_of(sites.begin(), sites.end(), [](const RankSite& site) { return site.has_card; });
  return any_card ? Backend::card : Backend::emulated;
}

bool all_can_emulate(const std::vector<RankSite>& sites) {
  return std::all_of(sites.begin(), sites.end(),
                     [](const RankSite& site) { return site.can_emulate; });
}

std::string plural(int count, const std::string& noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// The number of FPGA ranks that the command line asks for, or nothing where it leaves that open.
std::optional<int> requested_fpga_ranks(int world, const PlacementRequest& request) {
  const std::optional<int>& gpu = request.gpu_ranks;
  const std::optional<int>& fpga = request.fpga_ranks;
  if (gpu.value_or(0) < 0 || fpga.value_or(0) < 0)
    throw UsageError("a number of ranks cannot be negative");
  if (gpu && fpga && *gpu + *fpga != world) {
    throw UsageError(
        fmt::format("{} and {} were asked for, but the job has {}", plural(*gpu, "GPU rank"),
                    plural(*fpga, "FPGA rank"), plural(world, "rank")),
        *gpu + *fpga > 0 ? fmt::format("Start it with mpirun -n {}", *gpu + *fpga) : "");
  }
  for (const auto& [count, role] : {std::pair{gpu, "GPU rank"}, std::pair{fpga, "FPGA rank"}}) {
    if (count && *count > world) {
      throw UsageError(fmt::format("{} asked for, but the job has {}", plural(*count, role),
                                   plural(world, "rank")),
                       fmt::format("Start it with mpirun -n {} or more", *count));
    }
  }
  if (fpga) return fpga;
  if (gpu) return world - *gpu;
  return std::nullopt;
}

/// FPGA ranks that the hosts' cards can carry: one per card and rank.
int card_capacity(const std::vector<Host>& hosts) {
  return std::accumulate(hosts.begin(), hosts.end(), 0, [](int sum, const Host& host) {
    return sum + std::min(host.cards, static_cast<int>(host.ranks.size()));
  });
}

/// Why cards that XRT lists don't count, each card once.
std::vector<std::string> unusable_cards(const std::vector<RankSite>& sites) {
  std::vector<std::string> reasons;
  for (const RankSite& site : sites) {
    for (const DeviceInfo& card : site.cards) {
      const std::string reason =
          fmt::format("card {} of {} cannot be used: {}", card.index, site.host, card.unusable);
      if (!usable(card) && std::find(reasons.begin(), reasons.end(), reason) == reasons.end())
        reasons.push_back(reason);
    }
  }
  return reasons;
}

/// The notice of a job whose hosts have cards, but none of use.
std::string no_usable_card(const std::vector<RankSite>& sites) {
  std::vector<std::string> reasons = unusable_cards(sites);
  for (const RankSite& site : sites) {
    const std::string reason = fmt::format(
        "{} has a card's driver or XILINX_XRT is set there, but XRT lists no card", site.host);
    if (site.has_card && site.cards.empty() &&
        std::find(reasons.begin(), reasons.end(), reason) == reasons.end())
      reasons.push_back(reason);
  }
  return fmt::format(
      "no FPGA ranks: {}{}", fmt::join(reasons, "; "),
      all_can_emulate(sites) ? ". Use --fpga-backend emulated for an emulated card" : "");
}

[[noreturn]] void refuse_cards(const std::vector<RankSite>& sites, const std::vector<Host>& hosts,
                               int wanted) {
  std::vector<std::string> counts;
  for (const Host& host : hosts) {
    counts.push_back(fmt::format("{}: {}, {}", host.name, plural(host.cards, "card"),
                                 plural(static_cast<int>(host.ranks.size()), "rank")));
  }
  std::string reasons;
  for (const std::string& reason : unusable_cards(sites)) reasons += "; " + reason;
  throw Error(
      fmt::format("{} asked for, but the job's hosts can place {} on FPGA cards ({}){}",
                  plural(wanted, "FPGA rank"), card_capacity(hosts), fmt::join(counts, "; "),
                  reasons),
      all_can_emulate(sites) ? "Ask for fewer, or use --fpga-backend emulated" : "Ask for fewer");
}

/// Takes `count` ranks one host after the other, from the last host on and from each host's highest
/// local rank down.
std::vector<Role> spread_over_cards(const std::vector<Host>& hosts, std::size_t world, int count) {
  std::vector<Role> roles(world, Role::gpu);
  for (std::size_t round = 0; count > 0; ++round) {
    for (auto host = hosts.rbegin(); host != hosts.rend() && count > 0; ++host) {
      if (round >= host->ranks.size() || round >= static_cast<std::size_t>(host->cards)) continue;
      roles[host->ranks[host->ranks.size() - 1 - round]] = Role::fpga;
      --count;
    }
  }
  return roles;
}

std::vector<Role> roles_on_cards(const std::vector<RankSite>& sites, const std::vector<Host>& hosts,
                                 std::optional<int> wanted, bool insisted) {
  const int world = static_cast<int>(sites.size());
  const int capacity = card_capacity(hosts);
  if (insisted && capacity == 0 && wanted != 0) refuse_cards(sites, hosts, wanted.value_or(1));
  if (wanted.value_or(0) > capacity) refuse_cards(sites, hosts, *wanted);
  return spread_over_cards(hosts, sites.size(), wanted.value_or(std::min(capacity, world - 1)));
}

/// FPGA ranks on emulated cards where nobody says how many.
int automatic_emulation(const std::vector<RankSite>& sites, bool insisted) {
  if (!all_can_emulate(sites) || sites.size() < 2) return 0;
  return !insisted && count_gpus(sites) > 1 ? 0 : 1;
}

std::vector<Role> roles_on_emulation(const std::vector<RankSite>& sites, std::optional<int> wanted,
                                     bool insisted) {
  const bool possible = all_can_emulate(sites);
  if (!possible && (wanted.value_or(0) > 0 || (insisted && wanted != 0))) {
    throw Error(
        insisted
            ? "this build has no emulated FPGA card"
            : fmt::format(
                  "{} asked for, but no host has an FPGA card and this build has no emulated one",
                  plural(*wanted, "FPGA rank")),
        "Build with the XRT that the emulated card fits (2.13), or use --fpga-ranks 0");
  }
  const auto count =
      static_cast<std::size_t>(wanted ? *wanted : automatic_emulation(sites, insisted));
  // Where there are most ranks there is one too many for the devices; of equals the last host.
  std::vector<Role> roles(sites.size(), Role::gpu);
  std::vector<Host> hosts = group_by_host(sites);
  for (std::size_t taken = 0; taken < count; ++taken) {
    const auto host = std::max_element(
        hosts.rbegin(), hosts.rend(),
        [](const Host& a, const Host& b) { return a.ranks.size() < b.ranks.size(); });
    roles[host->ranks.back()] = Role::fpga;
    host->ranks.pop_back();
  }
  return roles;
}

/// By host and core: GPU ranks that may run there.
using CoreSharers = std::map<std::string, std::map<int, int>>;

CoreSharers count_sharers(const std::vector<RankSite>& sites, const std::vector<Role>& roles) {
  CoreSharers sharers;
  for (std::size_t rank = 0; rank < sites.size(); ++rank) {
    if (roles[rank] != Role::gpu) continue;
    for (const int core : sites[rank].cores) ++sharers[sites[rank].host][core];
  }
  return sharers;
}

/// Each core is shared by the GPU ranks of the host that may run on it: ranks bound to cores of
/// their own keep those, unbound ranks share all.
int share_of_cores(const RankSite& site, CoreSharers& sharers) {
  std::map<int, int>& of_host = sharers[site.host];
  double share = 0;
  for (const int core : site.cores) share += 1.0 / std::max(1, of_host[core]);
  return std::max(1, static_cast<int>(share + 1e-6));  // 3 × 1/3 is one core
}

}  // namespace

RolePlan plan_roles(const std::vector<RankSite>& sites, const PlacementRequest& request) {
  const std::vector<Host> hosts = group_by_host(sites);
  const std::optional<int> wanted = requested_fpga_ranks(static_cast<int>(sites.size()), request);
  const bool insisted = request.backend.has_value();
  RolePlan plan;
  plan.backend = choose_backend(sites, request);
  const std::vector<Role> roles = plan.backend == Backend::card
                                      ? roles_on_cards(sites, hosts, wanted, insisted)
                                      : roles_on_emulation(sites, wanted, insisted);
  if (plan.backend == Backend::card && !wanted && sites.size() >= 2 && card_capacity(hosts) == 0)
    plan.notices.push_back(no_usable_card(sites));
  if (plan.backend == Backend::emulated && !wanted && !insisted && sites.size() >= 2 &&
      all_can_emulate(sites) && automatic_emulation(sites, insisted) == 0) {
    plan.notices.push_back(
        fmt::format("no FPGA ranks: the hosts have {} and no FPGA card. Use --fpga-ranks 1 for one "
                    "on an emulated card",
                    plural(count_gpus(sites), "GPU")));
  }
  CoreSharers sharers = count_sharers(sites, roles);
  for (std::size_t rank = 0; rank < sites.size(); ++rank) {
    plan.ranks.push_back(
        {.role = roles[rank],
         .cpu_threads = roles[rank] == Role::gpu ? share_of_cores(sites[rank], sharers) : 0});
  }
  for (const Host& host : hosts) {
    std::map<Role, int> seen;
    for (std::size_t rank : host.ranks) plan.ranks[rank].host_rank = seen[roles[rank]]++;
    for (std::size_t rank : host.ranks) plan.ranks[rank].host_ranks = seen[roles[rank]];
  }
  return plan;
}

std::vector<int> lead_first(const RolePlan& plan) {
  std::vector<int> order(plan.ranks.size());
  std::iota(order.begin(), order.end(), 0);
  if (!order.empty() && plan.ranks[0].role == Role::fpga) {
    std::stable_partition(order.begin(), order.end(), [&](int rank) {
      return plan.ranks[static_cast<std::size_t>(rank)].role == Role::gpu;
    });
  }
  return order;
}

}  // namespace dovetail
