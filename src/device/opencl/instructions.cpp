// Finds out which instruction sets a device takes, by running a few of their instructions.
#include <algorithm>

#include "device/opencl/device.hpp"
#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/log.hpp"
#include "support/text.hpp"

namespace dovetail::opencl {
namespace {

struct Probe {
  const char* name;
  const kernels::Source& source;
  const kernels::Entry& entry;
  float expected;  // of every result
};

Probe probe_of(InstructionSet set) {
  switch (set) {
    case InstructionSet::async_copy:
      return {"cp.async", kernels::probe_async_copy, kernels::probe_async_copy_::probe, 4.0f};
    case InstructionSet::mma:
      return {"mma.sync", kernels::probe_mma, kernels::probe_mma_::probe, 32.0f};
    case InstructionSet::wgmma:
      return {"wgmma", kernels::probe_wgmma, kernels::probe_wgmma_::probe, 32.0f};
  }
  throw Error("an unknown instruction set");
}

/// Throws Error where the driver refuses the kernel.
bool computes(Device& device, const Probe& probe) {
  const Kernel kernel = device.build(probe.source).kernel(probe.entry);
  const std::vector<float> twos(2048, 2.0f);
  const Buffer source = device.upload(std::span<const float>(twos));
  const Buffer result = device.allocate_zeroed(128 * sizeof(float));
  device.launch(kernel, {{128, 1, 1}, {128, 1, 1}}, source, result);
  const std::vector<float> found = device.download<float>(result);
  return std::all_of(found.begin(), found.end(),
                     [&](float value) { return value == probe.expected; });
}

}  // namespace

const char* to_string(InstructionSet set) {
  return probe_of(set).name;
}

bool Device::takes(InstructionSet set) const {
  std::optional<bool>& known = takes_[static_cast<std::size_t>(set)];
  if (known) return *known;
  known = false;
  // Another vendor's compiler might not survive PTX.
  if (info_.kind != DeviceKind::gpu || info_.platform.find("NVIDIA") == std::string::npos)
    return false;
  const Probe probe = probe_of(set);
  try {
    Device aside(info_.index, cache_);  // a launch that fails can spoil its context
    known = computes(aside, probe);
    if (!*known)
      log::warn(fmt::format("{}: {} gives wrong results; another kernel does its work", info_.name,
                            probe.name));
  } catch (const Error& error) {
    log::note(fmt::format("{} does not take {}: {}", info_.name, probe.name, error.what()));
  }
  return *known;
}

}  // namespace dovetail::opencl
