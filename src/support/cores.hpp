// The CPU cores that this process may run on.
#pragma once

#include <vector>

namespace dovetail {

/// Numbers of the cores in this process's affinity mask, ascending; {0} where the system doesn't
/// say.
std::vector<int> available_cores();
/// Threads for the host's own work beside a device that is none of its cores: half of the share
/// that one of `ranks` processes on this host has of them, 1 to `most`.
int threads_beside_device(int ranks, int most);

}  // namespace dovetail
