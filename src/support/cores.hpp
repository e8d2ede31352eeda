// The CPU cores that this process may run on.
#pragma once

#include <vector>

namespace dovetail {

/// Numbers of the cores in this process's affinity mask, ascending; {0} where the system doesn't
/// say.
std::vector<int> available_cores();

}  // namespace dovetail
