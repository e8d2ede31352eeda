// 2-D convolution of feature maps: forward with bias and ReLU, input gradient, weight gradient.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// Cross-correlation as in PyTorch's Conv2d (groups and dilation 1). Device layouts (tensor/layout.hpp):
///   x, y, dx, dy as their Layouts say; weight [kernel, kernel, input.channels, output.channel_stride];
///   bias [output.channel_stride]. The padding lanes of weight and bias are zero.
/// input.halo ≥ padding, so borders need no branch. For the input gradient dy lies in the `output` layout, whose halo
/// must be ≥ kernel − 1 − padding (Conv2dShape::gradient_halo) when stride is 1.
struct Conv2dShape {
  Layout input;   // channel_stride == channels for the network's input, else a multiple of channel_lanes
  Layout output;  // height = (input.height + 2 padding − kernel) / stride + 1
  int kernel = 3;
  int stride = 1;
  int padding = 1;

  int gradient_halo() const { return kernel - 1 - padding > 0 ? kernel - 1 - padding : 0; }
};

class Conv2d {
 public:
  /// `output` in shape is the layout of y; `output_gradient` that of dy (they may differ in halo alone);
  /// `input_gradient` that of dx. Builds the kernels. Throws Error with the compiler's log, or where the shape breaks
  /// what is said above.
  Conv2d(opencl::Device& device, Variant variant, const Conv2dShape& shape);

  /// y = x ⋆ weight + bias, then max(0, ·) when `relu`; writes the interior of y for `batch` images, never the halo.
  void forward(const opencl::Buffer& x, const opencl::Buffer& weight, const opencl::Buffer& bias,
               const opencl::Buffer& y, int batch, bool relu);

  /// dx for `batch` images, in the `input` layout (interior only); with `mask`, dx is 0 where x ≤ 0.
  void input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight, const opencl::Buffer& x,
                      const opencl::Buffer& dx, int batch, bool mask);

  /// dweight and dbias, overwriting both. Deterministic.
  void weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy, const opencl::Buffer& dweight,
                       const opencl::Buffer& dbias, int batch);
};

}  // namespace dovetail
