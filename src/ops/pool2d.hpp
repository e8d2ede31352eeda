// Max-pool and average-pool of feature maps, forward and backward.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/lines.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

enum class PoolKind { max, average };

/// Windows without padding, as PyTorch's MaxPool2d and AvgPool2d with padding 0.
struct Pool2dShape {
  Layout input;
  Layout output;  // height = (input.height − kernel) / stride + 1; same channels and channel_stride
  int kernel = 2;
  int stride = 2;
};

class Pool2d {
 public:
  /// Builds the kernels. Throws Error with the compiler's log, or where the shape breaks what is
  /// said above or its channel_stride is no multiple of channel_lanes.
  Pool2d(opencl::Device& device, Variant variant, PoolKind kind, const Pool2dShape& shape);

  /// y over `batch` images (interior only). A NaN in a window makes its y NaN.
  void forward(const opencl::Buffer& x, const opencl::Buffer& y, int batch);

  /// dx over `batch` images: every interior element is written, zero where nothing flows. The first
  /// maximum of a window in row-major order takes its gradient. dy lies in the `output` layout, dx
  /// in the `input` layout. With `mask`, dx is 0 where x ≤ 0 (x being the output of a ReLU).
  void backward(const opencl::Buffer& x, const opencl::Buffer& y, const opencl::Buffer& dy,
                const opencl::Buffer& dx, int batch, bool mask);

 private:
  opencl::Device& device_;
  Pool2dShape shape_;
  Lines input_;
  Lines output_;
  opencl::Kernel forward_;
  opencl::Kernel backward_;
};

}  // namespace dovetail
