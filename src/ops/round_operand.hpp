// Rounds operands to a compute format, for devices whose products cannot read it.
#pragma once

#include <array>
#include <cstddef>

#include "device/opencl/device.hpp"
#include "ops/compute_format.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// Keeps a rounded copy of two operands at a time, in memory that grows as needed.
class RoundOperand {
 public:
  /// `format`: not float32, whose operands are taken as they are.
  RoundOperand(opencl::Device& device, Variant variant, ComputeFormat format);

  enum class Side { left, right };
  /// Enqueues the rounding of the first `elements` floats of `source`; the copy holds them until
  /// the next call for the same side.
  const opencl::Buffer& round(const opencl::Buffer& source, std::size_t elements, Side side);

 private:
  opencl::Device& device_;
  std::size_t group_;
  opencl::Kernel kernel_;
  std::array<opencl::Buffer, 2> copies_;
};

}  // namespace dovetail
