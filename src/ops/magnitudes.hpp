// Largest magnitudes and histograms of feature maps, for calibration.
#pragma once

#include <cstddef>

#include "device/opencl/device.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"
#include "tensor/magnitude_bins.hpp"

namespace dovetail {

/// Counts are whole numbers, so they don't depend on the device. Twin:
/// ops/reference/magnitudes.hpp.
class Magnitudes {
 public:
  /// uint32 of a result: counts by bin, then the bits of the largest magnitude in float32, NaN left
  /// out.
  static constexpr std::size_t elements = MagnitudeBins::count + 1;

  Magnitudes(opencl::Device& device, Variant variant);
  /// Adds what the first `batch` images of `x` hold to the result that begins at element `first` of
  /// `seen`, whose counts must stay below 2^32. The largest magnitude is that of all values; only
  /// rows that are n modulo `every` in image n are counted, without the padding of their channels.
  /// Throws Error where `batch` is more than the layout holds, or `seen` too short.
  void add(const Layout& layout, const opencl::Buffer& x, int batch, int every,
           const opencl::Buffer& seen, std::size_t first);

 private:
  opencl::Device& device_;
  std::size_t items_;
  opencl::Kernel magnitudes_;
};

}  // namespace dovetail
