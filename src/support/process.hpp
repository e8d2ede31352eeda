// What this process has used of the machine.
#pragma once

#include <sys/resource.h>

#include <cstdint>

namespace dovetail {

/// The most memory that this process has held at once (resident), in bytes.
inline std::uint64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

}  // namespace dovetail
