// Finds out which instruction sets a device takes, by running a few of their instructions.
#include <algorithm>
#include <cstdlib>
#include <sstream>

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

/// As DOVETAIL_INSTRUCTIONS writes it.
const char* word_of(InstructionSet set) {
  switch (set) {
    case InstructionSet::async_copy:
      return "async_copy";
    case InstructionSet::mma:
      return "mma";
    case InstructionSet::wgmma:
      return "wgmma";
  }
  throw Error("an unknown instruction set");
}

/// Throws Error where the driver refuses the kernel, OutOfMemory where there is no room to see.
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

std::vector<InstructionSet> allowed_instructions() {
  std::vector<InstructionSet> all{InstructionSet::async_copy, InstructionSet::mma,
                                  InstructionSet::wgmma};
  const char* variable = std::getenv(instructions_variable);
  if (variable == nullptr) return all;
  if (std::string(variable) == "none") return {};
  std::vector<InstructionSet> named;
  std::istringstream words(std::string(variable) + ",");
  for (std::string word; std::getline(words, word, ',');) {
    const auto set = std::ranges::find(all, word, word_of);
    if (set == all.end()) {
      throw UsageError(
          fmt::format("{}={}: there is no \"{}\"", instructions_variable, variable, word),
          "Give none, or some of async_copy, mma and wgmma with commas between, or unset it");
    }
    named.push_back(*set);
  }
  return named;
}

std::string instructions_remark() {
  const std::vector<InstructionSet> allowed = allowed_instructions();
  if (std::getenv(instructions_variable) == nullptr) return "";
  std::vector<std::string> names;
  for (const InstructionSet set : allowed) names.push_back(to_string(set));
  return fmt::format("{} leaves NVIDIA GPUs {} beyond OpenCL C", instructions_variable,
                     names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", ")));
}

bool Device::takes(InstructionSet set) const {
  std::optional<bool>& known = takes_[static_cast<std::size_t>(set)];
  if (known) return *known;
  known = false;
  if (std::ranges::find(allowed_, set) == allowed_.end()) return false;
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
  } catch (const OutOfMemory&) {
    known.reset();  // that says nothing of instructions
    throw;
  } catch (const Error& error) {
    log::note(fmt::format("{} does not take {}: {}", info_.name, probe.name, error.what()));
  }
  return *known;
}

}  // namespace dovetail::opencl
