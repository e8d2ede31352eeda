// Gives every rank one of the devices that it sees, and says what a person should know about it.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "comm/placement.hpp"
#include "support/error.hpp"
#include "support/table.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

std::vector<DeviceInfo> usable_ones(const std::vector<DeviceInfo>& devices, DeviceKind kind) {
  std::vector<DeviceInfo> found;
  for (const DeviceInfo& device : devices) {
    // Two platforms may show the same GPU; its address tells.
    const bool again = !device.address.empty() &&
                       std::any_of(found.begin(), found.end(), [&](const DeviceInfo& d) {
                         return d.address == device.address;
                       });
    if (device.kind == kind && device.unusable.empty() && !again) found.push_back(device);
  }
  return found;
}

std::string unusable_devices(const std::vector<DeviceInfo>& devices) {
  std::vector<std::string> reasons;
  for (const DeviceInfo& device : devices) {
    if (!device.unusable.empty())
      reasons.push_back(fmt::format("{}: {}", device.name, device.unusable));
  }
  return reasons.empty() ? "" : fmt::format(" ({})", fmt::join(reasons, "; "));
}

DeviceInfo choose_opencl(const RankPlacement& rank, int host_rank,
                         const std::vector<DeviceInfo>& devices) {
  const std::vector<DeviceInfo> gpus = usable_ones(devices, DeviceKind::gpu);
  if (!gpus.empty()) return gpus[static_cast<std::size_t>(host_rank) % gpus.size()];
  const std::vector<DeviceInfo> cpus = usable_ones(devices, DeviceKind::cpu);
  if (!cpus.empty()) return cpus.front();
  const std::string what = devices.empty() ? "no OpenCL platform" : "no usable OpenCL GPU or CPU";
  // Without a folder for its cache PoCL is no platform.
  throw Error(fmt::format("{} on host {}, where rank {} is to train{}", what, rank.host, rank.rank,
                          unusable_devices(devices)),
              "Install the GPU's driver, or PoCL for the CPU (package pocl-opencl-icd; where it is "
              "there, name a folder that it can write by POCL_CACHE_DIR)");
}

DeviceInfo choose_by_index(const RankPlacement& rank, int host_rank,
                           const std::vector<DeviceInfo>& devices, const std::vector<int>& chosen) {
  const int index = chosen[static_cast<std::size_t>(host_rank) % chosen.size()];
  const auto device = std::find_if(devices.begin(), devices.end(),
                                   [&](const DeviceInfo& d) { return d.index == index; });
  if (device != devices.end() && device->unusable.empty()) return *device;
  const std::string reason =
      device == devices.end() ? fmt::format("it sees {}", devices.size()) : device->unusable;
  throw Error(fmt::format("rank {} on host {} cannot use OpenCL device {}: {}", rank.rank,
                          rank.host, index, reason),
              "`dovetail devices` on that host lists them");
}

DeviceInfo choose_card(const RankPlacement& rank, int host_rank,
                       const std::vector<DeviceInfo>& devices) {
  std::vector<DeviceInfo> cards = devices;
  std::erase_if(cards, [](const DeviceInfo& card) { return !card.unusable.empty(); });
  if (host_rank >= static_cast<int>(cards.size())) {
    throw Error(
        fmt::format("rank {} on host {} needs FPGA card {} of the host, but sees {}{}", rank.rank,
                    rank.host, host_rank, cards.size(), unusable_devices(devices)),
        "`dovetail devices` on that host says more");
  }
  return cards[static_cast<std::size_t>(host_rank)];
}

/// Ranks share a device when they see it on one host under one platform at one address, or one
/// index where it has none.
void count_sharers(std::vector<RankPlacement>& ranks) {
  const auto key = [](const RankPlacement& rank) {
    const DeviceInfo& device = rank.device;
    return std::tuple(rank.host, device.platform,
                      device.address.empty() ? std::to_string(device.index) : device.address);
  };
  std::map<decltype(key(ranks.front())), int> count;
  for (const RankPlacement& rank : ranks) ++count[key(rank)];
  for (RankPlacement& rank : ranks) rank.sharers = count[key(rank)];
}

std::vector<std::string> make_notices(const std::vector<RankPlacement>& ranks,
                                      bool devices_chosen) {
  std::set<std::string> hosts;
  std::set<std::string> platforms;
  int emulated = 0;
  for (const RankPlacement& rank : ranks) {
    if (rank.emulated) ++emulated;
    if (devices_chosen || rank.role != Role::gpu || rank.device.kind != DeviceKind::cpu) continue;
    hosts.insert(rank.host);
    platforms.insert(rank.device.platform);
  }
  std::vector<std::string> notices;
  if (!hosts.empty()) {
    notices.push_back(fmt::format("no GPU on {} {}: GPU ranks there use the CPU through {}",
                                  hosts.size() > 1 ? "hosts" : "host", fmt::join(hosts, ", "),
                                  fmt::join(platforms, ", ")));
  }
  if (emulated > 0) {
    notices.push_back(fmt::format(
        "{} emulated: what {} right, how long it takes means nothing",
        emulated == 1 ? "the FPGA card is" : fmt::format("the {} FPGA cards are", emulated),
        emulated == 1 ? "it computes is" : "they compute is"));
  }
  return notices;
}

std::string notes_of(const RankPlacement& rank) {
  std::vector<std::string> notes;
  if (rank.cpu_threads > 0)
    notes.push_back(fmt::format("{} thread{}", rank.cpu_threads, rank.cpu_threads == 1 ? "" : "s"));
  if (rank.sharers > 1) notes.push_back(fmt::format("shared by {} ranks", rank.sharers));
  if (rank.emulated) notes.push_back("emulated");
  return fmt::format("{}", fmt::join(notes, ", "));
}

}  // namespace

std::vector<int> Placement::ranks_of(Role role) const {
  std::vector<int> found;
  for (const RankPlacement& rank : ranks) {
    if (rank.role == role) found.push_back(rank.rank);
  }
  return found;
}

Placement bind_devices(const std::vector<RankSite>& sites, const RolePlan& plan,
                       const std::vector<std::vector<DeviceInfo>>& devices,
                       const std::vector<int>& chosen) {
  Placement placement;
  std::map<std::string, int> local_ranks;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    RankPlacement rank;
    rank.rank = static_cast<int>(i);
    rank.host = sites[i].host;
    rank.local_rank = local_ranks[rank.host]++;
    const RankPlan& planned = plan.ranks[i];
    rank.role = planned.role;
    rank.device = rank.role == Role::fpga ? choose_card(rank, planned.host_rank, devices[i])
                  : chosen.empty()        ? choose_opencl(rank, planned.host_rank, devices[i])
                                   : choose_by_index(rank, planned.host_rank, devices[i], chosen);
    rank.emulated = rank.device.kind == DeviceKind::emulated_fpga;
    if (rank.device.kind == DeviceKind::cpu) rank.cpu_threads = planned.cpu_threads;
    placement.ranks.push_back(rank);
  }
  count_sharers(placement.ranks);
  placement.notices = plan.notices;
  for (const std::string& notice : make_notices(placement.ranks, !chosen.empty()))
    placement.notices.push_back(notice);
  return placement;
}

std::string to_text(const Placement& placement) {
  std::vector<std::vector<std::string>> rows;
  for (const RankPlacement& rank : placement.ranks) {
    rows.push_back({fmt::format("{:>4}", rank.rank), rank.host, to_string(rank.role),
                    to_string(rank.device.kind),
                    fmt::format("{}: {}", rank.device.index, rank.device.name), notes_of(rank)});
  }
  return format_table({"rank", "host", "role", "kind", "device", "notes"}, rows);
}

Json to_json(const Placement& placement) {
  Json ranks = Json::array();
  for (const RankPlacement& rank : placement.ranks) {
    Json entry{{"rank", rank.rank},
               {"host", rank.host},
               {"local_rank", rank.local_rank},
               {"role", to_string(rank.role)},
               {"device", rank.device.name},
               {"kind", to_string(rank.device.kind)},
               {"index", rank.device.index},
               {"address", rank.device.address},
               {"emulated", rank.emulated}};
    if (rank.cpu_threads > 0) entry["cpu_threads"] = rank.cpu_threads;
    ranks.push_back(entry);
  }
  return ranks;
}

}  // namespace dovetail
