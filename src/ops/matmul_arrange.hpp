// Arranges the operands of matrix products for kernels that copy them line by line.
#pragma once

#include "device/opencl/device.hpp"

namespace dovetail {

/// As kernels/matmul_async.cl and matmul_mma.cl take them, through kernels/matmul_arrange.cl.
class MatmulArrange {
 public:
  /// A matrix with its depth outermost, float32 [depth][pitch], the pitch a multiple of 4; what
  /// lies between the last row and the pitch may be anything.
  struct Lines {
    const opencl::Buffer& memory;
    int pitch;
  };

  explicit MatmulArrange(opencl::Device& device);
  /// Of `source`, [rows][depth] where `depth_inside`, else [depth][rows]: itself where it lies so
  /// already, or in `scratch`, which grows as needed.
  Lines lines(const opencl::Buffer& source, opencl::Buffer& scratch, int rows, int depth,
              bool depth_inside);

 private:
  opencl::Device& device_;
  opencl::Kernel turn_, align_;
};

}  // namespace dovetail
