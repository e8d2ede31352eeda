// 2-D convolution, bias, ReLU and perhaps max-pool in one pass on any GPU, forward and backward.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/compute_format.hpp"
#include "ops/conv2d.hpp"
#include "ops/conv2d_fused.hpp"
#include "ops/conv2d_pool.hpp"
#include "ops/direction.hpp"
#include "ops/joined_batch.hpp"
#include "ops/normalise_input.hpp"
#include "ops/round_operand.hpp"

namespace dovetail {

/// The ways to try for one direction of a shape that Conv2dGpu fits, the one to take unmeasured
/// first. Only the weight gradient's change bits.
std::vector<ConvKernels> conv_gpu_candidates(const Conv2dPoolShape& shape, Direction direction);

/// In plain OpenCL C. As in Conv2dPool, the feature map in front of a pool is never stored. Without
/// a pool (Conv2dPoolShape::pool is 1) it is Conv2d's variant for GPUs.
class Conv2dGpu : public Conv2dFused {
 public:
  /// Whether there are kernels for it: a pool of 1 or 2 of any convolution.
  static bool fits(const Conv2dPoolShape& shape);

  /// Builds the kernels. Throws Error with the compiler's log, or where the shape breaks what
  /// Conv2dShape says or does not fit. Formats other than float32: operands are rounded in passes
  /// of their own, of an input that is not normalised. Without `training` there are no gradients.
  /// `kernels`: tiles, and groups of the weight gradient. `step_passes`: of a step on all ranks;
  /// about two passes have those groups, however many of them there are.
  Conv2dGpu(opencl::Device& device, const Conv2dPoolShape& shape, bool training,
            ComputeFormat format = ComputeFormat::float32, const ConvKernels& kernels = {},
            int step_passes = 1);

  bool emulates_format() const { return rounding_.has_value(); }

  /// y = max over each window of x ⋆ weight + bias, then max(0, ·) when `relu`; the interior for
  /// `batch` images. A NaN in a window makes its y NaN. Weights and bias as in Conv2d.
  void forward(const opencl::Buffer& x, const opencl::Buffer& weight, const opencl::Buffer& bias,
               const opencl::Buffer& y, int batch, bool relu);

  /// Whether forward_images is there: for inputs of few channels, where operands are not rounded.
  bool takes_images() const;
  /// The same with x made on the way, as NormaliseInput makes it: what a window looks at of its
  /// interior is written for the weight gradient.
  void forward_images(const ImageSource& images, const ChannelLaws& laws, const opencl::Buffer& x,
                      const opencl::Buffer& weight, const opencl::Buffer& bias,
                      const opencl::Buffer& y, int batch, bool relu);

  // The gradients are those of the last forward pass, whose maxima this object remembers: the first
  // one of a window, in row-major order, takes its gradient. Where forward rectified behind a pool,
  // dy must be zero where y ≤ 0.

  /// dx for `batch` images, interior only; with `mask`, dx is 0 where x ≤ 0. Throws Error where,
  /// without a pool, output.halo is less than Conv2dShape::gradient_halo.
  void input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                      const opencl::Buffer& x, const opencl::Buffer& dx, int batch, bool mask);

  /// dweight and dbias, overwriting both. The sums run in an order that depends on shape and batch
  /// alone. Memory for the sums of several passes comes when they first do.
  void weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                       const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                       const JoinedBatch& batch);

 private:
  /// A kernel whose work-groups make tiles of units (pixels, or windows of a pool) × channels.
  struct Product {
    opencl::Kernel kernel;
    int units_per_image = 1;
    int tile_units = 1;
    int column_tiles = 1;
    int threads = 1;
    opencl::Range over(int batch) const;
  };

  /// The first `batch` images as the products are to read them; the same for the weight.
  const opencl::Buffer& operand(const opencl::Buffer& source, const Layout& layout, int batch,
                                RoundOperand::Side side);
  const opencl::Buffer& operand(const opencl::Buffer& weight);

  std::optional<RoundOperand> rounding_;
  Product forward_, input_gradient_;
  opencl::Kernel forward_images_, weight_gradient_;
  opencl::Range weight_range_;  // of one chunk of pixels
  int pixels_per_image_ = 1;    // that the weight gradient visits
  int max_chunks_ = 1;
};

}  // namespace dovetail
