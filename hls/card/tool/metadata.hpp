// The compute units of a family, and the XML that tells XRT of the kernels' interfaces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "card/tool/description.hpp"

namespace dovetail::card {

struct Instance {
  const Kernel* kernel = nullptr;
  int number = 0;    // among the kernel's compute units
  std::string name;  // "vadd_1", as v++ counts
  std::uint64_t base = 0;
};

/// All compute units in order of their base addresses. Points into `description`.
std::vector<Instance> instances_of(const Description& description);

/// The EMBEDDED_METADATA section.
std::string metadata(const Description& description);

}  // namespace dovetail::card
