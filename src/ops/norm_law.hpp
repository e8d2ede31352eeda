// What a batch norm makes of its input per channel, for kernels that do it as they read.
#pragma once

#include <cstdint>

#include "device/opencl/device.hpp"

namespace dovetail {

/// y = max(0, (x − mean) · scale + beta). Rows of `pitch` floats on the device, one value a channel
/// and zeros for padding lanes: mean, scale, beta.
struct NormLaw {
  opencl::Buffer rows;
  std::int32_t pitch = 0;
};

}  // namespace dovetail
