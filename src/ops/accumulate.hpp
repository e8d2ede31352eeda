// Sums of partial gradients on the device.
#pragma once

#include <cstddef>

#include "device/opencl/device.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// Element by element over float32 buffers of any length; each sum is one rounded addition, on
/// every device. Twin: ops/reference/accumulate.hpp.
class Accumulate {
 public:
  Accumulate(opencl::Device& device, Variant variant);
  /// sum = x + sum. Throws Error unless both have the same length.
  void add(const opencl::Buffer& x, const opencl::Buffer& sum);
  /// The same for elements [first, first + count) alone. Throws Error where these are not in both.
  /// No slices, since those of buckets would overlap those of parameters, which NVIDIA's driver
  /// does not survive (580.159: a null pointer when they are released).
  void add(const opencl::Buffer& x, const opencl::Buffer& sum, std::size_t first,
           std::size_t count);
  /// x *= factor.
  void scale(const opencl::Buffer& x, float factor);

 private:
  opencl::Range range(std::size_t elements) const;

  opencl::Device& device_;
  std::size_t group_;
  opencl::Kernel add_, scale_;
};

}  // namespace dovetail
