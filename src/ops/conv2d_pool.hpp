// 2-D convolution, bias, ReLU and max-pool in one pass over the image, forward and backward.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/compute_format.hpp"
#include "ops/direction.hpp"
#include "ops/joined_batch.hpp"
#include "ops/kept_weight.hpp"
#include "ops/normalise_input.hpp"
#include "ops/round_operand.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// A convolution as Conv2dShape says, and behind it a max-pool without padding whose windows touch.
struct Conv2dPoolShape {
  Layout input;   // of the convolution
  Layout output;  // of the pool: height = convolution's height / pool, rounded down
  int kernel = 3;
  int stride = 1;
  int padding = 1;
  int pool = 2;  // kernel and stride
  /// The input is read through the batch norm and ReLU in front of it (Conv2dMma, Conv2dGpu).
  bool normalised = false;
  /// The output's statistics come with it (Conv2dMma alone, without a pool).
  bool statistics = false;
  /// The sums over the input gradient that the batch norm in front needs come with it; where
  /// normalised.
  bool gradient_sums = false;
  /// The weight gradient takes the gradient of the batch norm behind, and makes its own of it
  /// (Conv2dMma alone, of few channels without a pool).
  bool norm_gradient = false;
  bool operator==(const Conv2dPoolShape&) const = default;
};

/// How forward is cut: pixels in front of the pool that a work-item holds in registers; 0 × 0: as
/// estimated.
struct ConvPoolKernels {
  int rows = 0;
  int columns = 0;

  /// "cpu", "cpu, tile 2x7".
  std::string name() const;
};

/// The ways to try for one direction of a shape that Conv2dPool fits, the one to take unmeasured
/// first; the gradients have one. None changes a bit of a result.
std::vector<ConvPoolKernels> conv_pool_candidates(const Conv2dPoolShape& shape,
                                                  Direction direction);

/// For CPU devices; elsewhere Conv2d and Pool2d are to be used. The feature map between the two is
/// never stored; the gradients visit only the pixels that were a window's maximum, one in pool².
/// Forward has the bits of Conv2d and Pool2d; the gradients add the same products in another order.
class Conv2dPool {
 public:
  /// Whether there are kernels for it: other shapes do not fit registers or the cache.
  static bool fits(const Conv2dPoolShape& shape);

  /// Builds the kernels. Throws Error with the compiler's log, or where the shape breaks what is
  /// said above or does not fit. Formats other than float32: operands are rounded in passes of
  /// their own. Without `training` there are no gradients. `step_passes` as Conv2d's.
  Conv2dPool(opencl::Device& device, const Conv2dPoolShape& shape, bool training,
             ComputeFormat format = ComputeFormat::float32, const ConvPoolKernels& kernels = {},
             int step_passes = 1);

  bool emulates_format() const { return rounding_.has_value(); }

  /// As Conv2d::keep_weight().
  void keep_weight() { kept_.stays(); }

  /// y = max over each window of x ⋆ weight + bias, then max(0, ·) when `relu`; the interior for
  /// `batch` images. A NaN in a window makes its y NaN. Weights and bias as in Conv2d.
  void forward(const opencl::Buffer& x, const opencl::Buffer& weight, const opencl::Buffer& bias,
               const opencl::Buffer& y, int batch, bool relu);

  /// Whether forward_images is there: for inputs of few channels in float32.
  bool takes_images() const { return static_cast<bool>(forward_images_); }
  /// The same with x, whose interior it writes, made on the way as NormaliseInput makes it.
  void forward_images(const ImageSource& images, const ChannelLaws& laws, const opencl::Buffer& x,
                      const opencl::Buffer& weight, const opencl::Buffer& bias,
                      const opencl::Buffer& y, int batch, bool relu);

  // The gradients are those of the last forward pass, whose maxima this object remembers: the first
  // one of a window, in row-major order, takes its gradient. Where forward rectified, dy must be
  // zero where y ≤ 0.

  /// dx for `batch` images, interior only; with `mask`, dx is 0 where x ≤ 0. Throws Error where the
  /// input's channels are not padded.
  void input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                      const opencl::Buffer& x, const opencl::Buffer& dx, int batch, bool mask);

  /// dweight and dbias, overwriting both, as Conv2d's.
  void weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                       const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                       const JoinedBatch& batch);

 private:
  void build(int step_passes);
  /// Floats that the turned weights take.
  std::size_t build_gradients(std::vector<std::string> definitions, int tile_vectors,
                              int step_passes);
  /// Memory for the gradients of so many chunks.
  void reserve_partial(int chunks);
  void expect_gradients(int batch) const;
  /// The weights to panels_ for forward, where they are not there.
  void pack(const opencl::Buffer& weight);
  const opencl::Buffer& operand(const opencl::Buffer& source, const Layout& layout, int batch,
                                RoundOperand::Side side);
  const opencl::Buffer& operand(const opencl::Buffer& weight);

  opencl::Device& device_;
  Conv2dPoolShape shape_;
  bool training_;
  ConvPoolKernels kernels_;
  std::optional<RoundOperand> rounding_;
  int images_ = 1;          // of a work-item of forward
  int channel_tiles_ = 1;   // of forward
  int gradient_tiles_ = 1;  // of weight_gradient: of output channels, or blocks of input channels
  int max_chunks_ = 1;      // of images
  opencl::Kernel forward_images_;  // without it: images are not taken
  opencl::Kernel pack_, forward_, pack_by_channel_, input_gradient_, weight_gradient_, sum_chunks_;
  opencl::Buffer panels_;   // the weights in the order of the kernel that follows
  KeptWeight kept_;         // in panels_, in that of forward
  opencl::Buffer places_;   // uint8 [batch, height, width, channel_stride]: where the maxima were
  opencl::Buffer partial_;  // gradients per chunk of images
};

}  // namespace dovetail
