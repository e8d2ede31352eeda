// Which role and device each rank of a job gets, from what its hosts have and what the command line
// asks for.
//
// Two decisions, both pure, so that every rank comes to the same result and invented clusters can
// be tested: `plan_roles` looks at cards, cores and GPUs; `bind_devices` then gives every rank one
// of the devices that it sees. They are apart because an OpenCL runtime for CPUs fixes its number
// of threads when its devices are first listed, and that number follows from the roles. `place`
// runs them for a job.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "device/device_info.hpp"
#include "device/xrt/card.hpp"
#include "support/json.hpp"

namespace dovetail {

enum class Role { gpu, fpga };

inline const char* to_string(Role role) {
  return role == Role::gpu ? "gpu" : "fpga";
}

/// What the command line asks for. A missing count follows from the other one; without both, the
/// inventory decides: one FPGA rank per usable card; without any card one FPGA rank on an emulated
/// card, unless the hosts have several GPUs: real devices come first; always one GPU rank at least.
struct PlacementRequest {
  std::optional<int> gpu_ranks{};
  std::optional<int> fpga_ranks{};
  std::optional<fpga::Backend> backend{};  // without: emulated only where no host has a card
  /// OpenCL devices by index that the GPU ranks of each host take in turn; none: its GPUs, else its
  /// first CPU device.
  std::vector<int> devices{};
};

/// What one rank knows of its host before the roles are known.
struct RankSite {
  std::string host{};
  std::vector<int> cores{};         // that the rank may run on
  bool has_card = false;            // fpga::host_has_card()
  bool can_emulate = false;         // fpga::built_with_emulated_card()
  std::vector<DeviceInfo> cards{};  // real ones; the ranks of a host share them
  /// opencl::list_gpus(), where the roles depend on them (needs_gpus); a launcher may show each
  /// rank of a host others.
  std::vector<DeviceInfo> gpus{};
};

struct RankPlan {
  Role role = Role::gpu;
  int host_rank = 0;    // position among the ranks of the same host and role
  int host_ranks = 1;   // how many of those there are
  int cpu_threads = 0;  // for a GPU rank on a CPU device: its share of the host's cores
};

struct RolePlan {
  fpga::Backend backend = fpga::Backend::card;  // of the FPGA ranks
  std::vector<RankPlan> ranks{};                // by rank
  std::vector<std::string> notices{};           // for people: why no rank infers
};

/// Whether the roles of so many ranks depend on their hosts' GPUs, where no host has a card.
bool needs_gpus(int ranks, const PlacementRequest& request);

/// Usable GPUs of all hosts. Ranks of a host may see the same ones, or each its own: addresses
/// tell; of those without an address as many count as one rank sees.
int count_gpus(const std::vector<RankSite>& sites);

/// Roles by rank. FPGA ranks are the highest local ranks of hosts with cards, spread over those
/// hosts, or with emulated cards the last ranks. Throws UsageError where the counts don't fit the
/// number of ranks, Error where there are fewer cards than FPGA ranks.
RolePlan plan_roles(const std::vector<RankSite>& sites, const PlacementRequest& request);

/// The order in which the ranks should be numbered, so that rank 0 trains whenever any rank does:
/// result[new] = old. The identity where rank 0 trains already.
std::vector<int> lead_first(const RolePlan& plan);

struct RankPlacement {
  int rank = 0;
  std::string host{};
  int local_rank = 0;
  Role role = Role::gpu;
  DeviceInfo device{};
  bool emulated = false;  // an FPGA rank on an emulated card: function right, time meaningless
  int cpu_threads = 0;    // of a CPU device; 0 for others
  int sharers = 1;        // ranks of the job on this device
};

struct Placement {
  std::vector<RankPlacement> ranks;  // by rank
  std::vector<std::string>
      notices;   // for people, each to be said once: no GPU, emulated or unusable cards
  int self = 0;  // this process's rank

  const RankPlacement& mine() const { return ranks[static_cast<std::size_t>(self)]; }
  std::vector<int> ranks_of(Role role) const;
};

/// Devices by rank: OpenCL devices for a GPU rank, cards for an FPGA rank, as that rank's own
/// process sees them, because a launcher may show each rank another GPU. A GPU rank takes a usable
/// GPU (several ranks may share one), else the first usable CPU device; or those `chosen` by index.
/// Throws Error, naming the host, where a rank has nothing to run on.
Placement bind_devices(const std::vector<RankSite>& sites, const RolePlan& plan,
                       const std::vector<std::vector<DeviceInfo>>& devices,
                       const std::vector<int>& chosen = {});

/// Places the job's ranks. Collective, and to be called once, before the first OpenCL and XRT calls
/// of the process: limits the threads of a shared CPU device and puts emulated cards in place.
/// Where rank 0 would be an FPGA rank although others train, `world` is numbered anew. All ranks
/// throw the same Error where no placement exists.
Placement place(Communicator& world, const PlacementRequest& request);

/// A table for people: rank, host, role, device and notes.
std::string to_text(const Placement& placement);

/// The same for run.jsonl and summary.json: an array with an object per rank.
Json to_json(const Placement& placement);

}  // namespace dovetail
