// Matrix products of dense layers: forward with bias and ReLU, input gradient, weight gradient.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// Row-major float32 matrices of a dense layer, in device memory:
///   x [rows, in], weight [in, out], bias [out], y [rows, out].
/// `out` is a multiple of channel_lanes (tensor/layout.hpp); `in` is any. `rows` is given with each call.
struct MatmulShape {
  int in = 0;
  int out = 0;
};

class Matmul {
 public:
  /// Builds the kernels for one shape. Throws Error with the compiler's log.
  Matmul(opencl::Device& device, Variant variant, const MatmulShape& shape);

  /// y = x · weight + bias, then max(0, ·) when `relu`. Every element of y's first `rows` rows is written.
  void forward(const opencl::Buffer& x, const opencl::Buffer& weight, const opencl::Buffer& bias,
               const opencl::Buffer& y, int rows, bool relu);

  /// dx = dy · weightᵀ; with `mask`, dx is 0 where x ≤ 0 (x being the output of a ReLU).
  void input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight, const opencl::Buffer& x,
                      const opencl::Buffer& dx, int rows, bool mask);

  /// dweight = xᵀ · dy and dbias = column sums of dy, overwriting both. Deterministic: the same sums in the same order
  /// on every call.
  void weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy, const opencl::Buffer& dweight,
                       const opencl::Buffer& dbias, int rows);
};

}  // namespace dovetail
