// Which family of kernels an operation uses on a device.
#pragma once

#include "device/opencl/device.hpp"

namespace dovetail {

/// cpu: wide float16 code, one work-item a tile, no barriers. gpu: work-groups that share tiles in
/// local memory. Both are plain OpenCL C 1.2 and run on every device, so that tests cover both
/// anywhere.
enum class Variant { cpu, gpu };

inline const char* to_string(Variant variant) {
  return variant == Variant::cpu ? "cpu" : "gpu";
}

inline Variant variant_for(const opencl::Device& device) {
  return device.is_cpu() ? Variant::cpu : Variant::gpu;
}

}  // namespace dovetail
