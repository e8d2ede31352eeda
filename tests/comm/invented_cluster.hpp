// Invented hosts, ranks and devices for tests of the placement.
#pragma once

#include <numeric>
#include <string>
#include <vector>

#include "comm/placement.hpp"

namespace dovetail::testing {

inline DeviceInfo device(DeviceKind kind, int index, const std::string& name) {
  DeviceInfo info;
  info.kind = kind;
  info.index = index;
  info.name = name;
  info.platform = kind == DeviceKind::gpu   ? "NVIDIA CUDA"
                  : kind == DeviceKind::cpu ? "PoCL"
                                            : "XRT";
  return info;
}

inline std::vector<DeviceInfo> several(DeviceKind kind, int count, const std::string& name) {
  std::vector<DeviceInfo> devices;
  for (int i = 0; i < count; ++i) devices.push_back(device(kind, i, name));
  return devices;
}

/// The ranks of a job, added host by host in rank order.
struct Cluster {
  std::vector<RankSite> sites{};

  Cluster& host(const std::string& name, int ranks, int cards, int cores = 8) {
    RankSite site{.host = name,
                  .cores = std::vector<int>(static_cast<std::size_t>(cores)),
                  .has_card = cards > 0,
                  .can_emulate = true,
                  .cards = several(DeviceKind::fpga, cards, "u280")};
    std::iota(site.cores.begin(), site.cores.end(), 0);
    sites.insert(sites.end(), static_cast<std::size_t>(ranks), site);
    return *this;
  }
  /// Every rank sees all of so many GPUs of its host.
  Cluster& with_gpus(int count) {
    for (RankSite& site : sites) {
      site.gpus = several(DeviceKind::gpu, count, "H200");
      for (DeviceInfo& gpu : site.gpus)
        gpu.address = "0000:" + std::to_string(10 + gpu.index) + ":00.0";
    }
    return *this;
  }
  Cluster& without_emulation() {
    for (RankSite& site : sites) site.can_emulate = false;
    return *this;
  }
};

/// "ggf": one letter per rank.
inline std::string letters(const RolePlan& plan) {
  std::string text;
  for (const RankPlan& rank : plan.ranks) text += rank.role == Role::gpu ? 'g' : 'f';
  return text;
}

/// What `call` throws as an Exception, or an empty text.
template <typename Exception, typename Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace dovetail::testing
