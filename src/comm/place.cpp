// Places a running job: asks this host for cards, agrees on the roles, then opens the way to the
// devices.
#include <algorithm>

#include "comm/placement.hpp"
#include "device/opencl/device.hpp"
#include "support/activity.hpp"
#include "support/cores.hpp"

namespace dovetail {
namespace {

Json pack(const std::vector<DeviceInfo>& devices) {
  Json list = Json::array();
  for (const DeviceInfo& d : devices) {
    list.push_back({static_cast<int>(d.kind), d.index, d.name, d.platform, d.driver, d.address,
                    d.memory_bytes, d.compute_units, d.unusable});
  }
  return list;
}

std::vector<DeviceInfo> unpack(const Json& list) {
  std::vector<DeviceInfo> devices;
  for (const Json& d : list) {
    devices.push_back({.kind = static_cast<DeviceKind>(d[0].get<int>()),
                       .index = d[1],
                       .name = d[2],
                       .platform = d[3],
                       .driver = d[4],
                       .address = d[5],
                       .memory_bytes = d[6],
                       .compute_units = d[7],
                       .unusable = d[8]});
  }
  return devices;
}

std::vector<RankSite> gather_sites(const Communicator& world, const PlacementRequest& request) {
  activity::enter("devices", 0);
  const bool has_card = fpga::host_has_card();
  // XRT decides at its first call between board and emulation: it is asked only where a board will
  // be used.
  const bool ask_xrt = has_card && request.backend != fpga::Backend::emulated;
  const bool ask_gpus =
      !has_card && fpga::built_with_emulated_card() && needs_gpus(world.size(), request);
  const Json mine{{"cores", available_cores()},
                  {"has_card", has_card},
                  {"can_emulate", fpga::built_with_emulated_card()},
                  {"cards", pack(ask_xrt ? fpga::list_cards() : std::vector<DeviceInfo>{})},
                  {"gpus", pack(ask_gpus ? opencl::list_gpus() : std::vector<DeviceInfo>{})}};
  activity::enter("devices", 0, activity::Kind::wait);
  std::vector<RankSite> sites;
  for (const std::string& text : world.all_gather_text(dump(mine))) {
    const Json site = Json::parse(text);
    sites.push_back({.host = world.hosts()[sites.size()],
                     .cores = site["cores"],
                     .has_card = site["has_card"],
                     .can_emulate = site["can_emulate"],
                     .cards = unpack(site["cards"]),
                     .gpus = unpack(site["gpus"])});
  }
  return sites;
}

std::vector<DeviceInfo> list_devices_of(const RankPlan& planned, fpga::Backend backend) {
  if (planned.role == Role::gpu) {
    opencl::limit_cpu_threads(planned.cpu_threads);
    return opencl::list_devices();
  }
  if (backend == fpga::Backend::emulated) fpga::use_emulated_cards(planned.host_ranks);
  return fpga::list_cards();
}

template <typename T>
std::vector<T> reordered(const std::vector<T>& values, const std::vector<int>& order) {
  std::vector<T> result;
  for (int old : order) result.push_back(values[static_cast<std::size_t>(old)]);
  return result;
}

}  // namespace

Placement place(Communicator& world, const PlacementRequest& request) {
  std::vector<RankSite> sites = gather_sites(world, request);
  RolePlan plan = plan_roles(sites, request);
  if (const std::vector<int> order = lead_first(plan); order[0] != 0) {
    const auto me = std::find(order.begin(), order.end(), world.rank());
    world = *world.split(0, static_cast<int>(me - order.begin()));
    sites = reordered(sites, order);
    plan.ranks = reordered(plan.ranks, order);
  }
  const RankPlan& mine = plan.ranks[static_cast<std::size_t>(world.rank())];
  activity::enter("devices", 0);
  const std::string listed = dump(pack(list_devices_of(mine, plan.backend)));
  activity::enter("devices", 0, activity::Kind::wait);
  std::vector<std::vector<DeviceInfo>> devices;
  for (const std::string& text : world.all_gather_text(listed)) {
    devices.push_back(unpack(Json::parse(text)));
  }
  Placement placement = bind_devices(sites, plan, devices, request.devices);
  placement.self = world.rank();
  return placement;
}

}  // namespace dovetail
