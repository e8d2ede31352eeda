// Looks through a step's sums on the device and copies what the host has to know of them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/opencl/device.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// Twin: ops/reference/record_sums.hpp.
class RecordSums {
 public:
  static constexpr std::uint32_t none = 0xffffffffu;

  /// Sums are `gradients` floats, one at least, and `rest` floats behind them.
  RecordSums(opencl::Device& device, Variant variant, std::size_t gradients, std::size_t rest);

  /// Words of 32 bits in a record: the rest's floats, then a number, which whoever provides the
  /// memory sets to `none`.
  std::size_t words() const { return std::size_t{rest_} + 1; }
  /// The number becomes that of the first gradient that is NaN or infinite, if one is. Throws
  /// Error where a buffer has another length.
  void run(const opencl::Buffer& sums, const opencl::Buffer& record);

 private:
  opencl::Device& device_;
  std::uint32_t gradients_, rest_;
  opencl::Range range_;
  opencl::Kernel kernel_;
};

}  // namespace dovetail
