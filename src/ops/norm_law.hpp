// What a batch norm makes of its input per channel, for kernels that do it as they read.
#pragma once

#include <cstdint>
#include <string>

#include "device/opencl/device.hpp"
#include "support/error.hpp"

namespace dovetail {

/// y = max(0, (x − mean) · scale + beta). Rows of `pitch` floats on the device, one value a channel
/// and zeros for padding lanes: mean, scale, beta. Behind the sums over dy come gradient_scale,
/// offset and slope: dx = (dy − offset − (x − mean) · slope) · gradient_scale.
struct NormLaw {
  opencl::Buffer rows;
  std::int32_t pitch = 0;

  /// Throws Error, in the reader's name, where there is none.
  const opencl::Buffer& rows_of(const char* reader) const {
    if (!rows) throw Error(std::string(reader) + ": no law of its input's batch norm");
    return rows;
  }
};

}  // namespace dovetail
