// Sums of partial gradients on the device.
#pragma once

#include <cstddef>
#include <cstdint>

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

  /// Of one element of a sum over passes: its values' places, first + pass · step, and a factor.
  struct Source {
    std::int32_t first = 0, step = 0;
    float weight = 0;
  };
  /// sum[first + i] = Σ over the passes, by pairs as JoinedBatch says, of value · weight, for each
  /// of `sources` (on the device). Throws Error where that is not in `sum`.
  void fold_passes(const opencl::Buffer& values, const opencl::Buffer& sources,
                   const opencl::Buffer& sum, std::size_t first, int passes);

 private:
  opencl::Range range(std::size_t elements) const;

  opencl::Device& device_;
  std::size_t group_;
  opencl::Kernel add_, scale_, fold_passes_;
};

}  // namespace dovetail
