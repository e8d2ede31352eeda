// As Vitis' C simulation, the kernels keep their on-chip memories on the stack: more than the usual
// 8 MiB.
#include <sys/resource.h>

#include <algorithm>

namespace {

const bool raised = [] {
  rlimit limit{};
  if (getrlimit(RLIMIT_STACK, &limit) != 0) return false;
  const rlim_t wanted = rlim_t{96} << 20;
  if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < wanted)
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? wanted : std::min(wanted, limit.rlim_max);
  return setrlimit(RLIMIT_STACK, &limit) == 0;
}();

}  // namespace
