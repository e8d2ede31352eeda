// Reads the affinity mask, as large as the host's core count makes it.
#include "support/cores.hpp"

#include <sched.h>

#include <algorithm>
#include <memory>

namespace dovetail {

std::vector<int> available_cores() {
  // The kernel refuses a mask smaller than its own, so the size grows until it fits.
  for (int capacity = 1024; capacity <= 1 << 20; capacity *= 2) {
    const auto free_set = [](cpu_set_t* set) { CPU_FREE(set); };
    const std::unique_ptr<cpu_set_t, decltype(free_set)> set(
        CPU_ALLOC(static_cast<std::size_t>(capacity)), free_set);
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(capacity));
    if (sched_getaffinity(0, bytes, set.get()) != 0) continue;
    std::vector<int> cores;
    for (int core = 0; core < capacity; ++core) {
      if (CPU_ISSET_S(static_cast<std::size_t>(core), bytes, set.get())) cores.push_back(core);
    }
    return cores;
  }
  return {0};
}

int threads_beside_device(int ranks, int most) {
  return std::clamp(static_cast<int>(available_cores().size()) / ranks / 2, 1, most);
}

}  // namespace dovetail
