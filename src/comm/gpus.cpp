// Counts the GPUs that roles depend on.
#include <algorithm>
#include <map>
#include <set>

#include "comm/placement.hpp"

namespace dovetail {

bool needs_gpus(int ranks, const PlacementRequest& request) {
  return ranks >= 2 && !request.gpu_ranks && !request.fpga_ranks && !request.backend;
}

int count_gpus(const std::vector<RankSite>& sites) {
  struct Host {
    std::set<std::string> addresses;
    int without_address = 0;
  };
  std::map<std::string, Host> hosts;
  for (const RankSite& site : sites) {
    Host& host = hosts[site.host];
    int without_address = 0;
    for (const DeviceInfo& gpu : site.gpus) {
      if (!gpu.unusable.empty()) continue;
      if (gpu.address.empty()) {
        ++without_address;
      } else {
        host.addresses.insert(gpu.address);
      }
    }
    host.without_address = std::max(host.without_address, without_address);
  }
  int count = 0;
  for (const auto& [name, host] : hosts)
    count += static_cast<int>(host.addresses.size()) + host.without_address;
  return count;
}

}  // namespace dovetail
