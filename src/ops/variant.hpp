// Which family of kernels an operation uses on a device.
#pragma once

#include "device/opencl/device.hpp"

namespace dovetail {

/// cpu: wide float16 code, one work-item a tile, no barriers. gpu: work-groups that share tiles in
/// local memory. Both are plain OpenCL C 1.2 and run on every device, so that tests cover both
/// anywhere. nvidia: the same as gpu, except where an operation has kernels in NVIDIA's
/// instructions and the device takes them (Device::takes).
enum class Variant { cpu, gpu, nvidia };

inline const char* to_string(Variant variant) {
  switch (variant) {
    case Variant::cpu:
      return "cpu";
    case Variant::gpu:
      return "gpu";
    case Variant::nvidia:
      return "nvidia";
  }
  return "?";
}

/// A guess at the time of a variant's kernels, in units of the best one's. On CPUs work-groups that
/// meet at barriers cost ten times (docs/methodology.md, "Choosing kernels by
/// measurement"); a GPU's work-items are no cores.
inline double estimated_cost(const opencl::Device& device, Variant variant) {
  if (device.is_cpu()) return variant == Variant::cpu ? 1 : 10;
  return variant == Variant::cpu ? 30 : 1;
}

inline Variant variant_for(const opencl::Device& device) {
  return device.is_cpu() ? Variant::cpu : Variant::gpu;
}

}  // namespace dovetail
