// 2-D convolution of feature maps: forward with bias and ReLU, input gradient, weight gradient.
#pragma once

#include <memory>
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
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// Cross-correlation as in PyTorch's Conv2d (groups and dilation 1). Device layouts
/// (tensor/layout.hpp):
///   x and dx lie in `input`, y and dy in `output`;
///   weight [kernel, kernel, input.channels, output.channel_stride]; bias [output.channel_stride].
/// The padding lanes of weight and bias are zero, and so are those of every result.
struct Conv2dShape {
  Layout input;   // halo ≥ padding; channel_stride == channels, or a multiple of channel_lanes
  Layout output;  // height = (input.height + 2 padding − kernel) / stride + 1; padded channels
  int kernel = 3;
  int stride = 1;
  int padding = 1;

  /// The halo that `output` needs where the input gradient is wanted, so that its borders need no
  /// branch either.
  int gradient_halo() const {
    return stride == 1 && kernel - 1 > padding ? kernel - 1 - padding : 0;
  }
};

/// One way to compute a convolution's three products.
struct ConvKernels {
  /// What is computed at a time. cpu: pixels that a work-item holds in registers, rows × columns.
  /// gpu: pixels (or rows of the weight) × channels of a work-group. 0 × 0: as estimated.
  struct Tile {
    int rows = 0;
    int columns = 0;
    friend bool operator==(const Tile&, const Tile&) = default;
  };
  Variant variant = Variant::cpu;
  Tile forward{}, input_gradient{};
  int groups = 0;  // gpu: work-groups to cut the weight gradient's images for; 0: the usual

  /// What is not as estimated: "cpu", "cpu, tile 2x7", "gpu, tile 32x32", "gpu, 2048 groups".
  std::string name(Direction direction) const;
};

/// The kernels that can compute one direction on the device, the one to take unmeasured first. The
/// other directions are left as estimated. Those for CPUs add up in one order; so do the GPU's but
/// for the weight gradient.
std::vector<ConvKernels> conv_candidates(const opencl::Device& device, const Conv2dShape& shape,
                                         Direction direction);

class Conv2dGpu;

/// Allocates its scratch memory on construction; the three operations only enqueue kernels.
class Conv2d {
 public:
  /// Builds the kernels. Throws Error with the compiler's log, or where the shape breaks what is
  /// said above. Formats other than float32: operands are rounded in passes of their own.
  /// `step_passes`: of a step on all ranks; on CPUs a pass is cut into so many fewer chunks.
  Conv2d(opencl::Device& device, const ConvKernels& kernels, const Conv2dShape& shape,
         ComputeFormat format = ComputeFormat::float32, int step_passes = 1);
  Conv2d(opencl::Device& device, Variant variant, const Conv2dShape& shape,
         ComputeFormat format = ComputeFormat::float32)
      : Conv2d(device, ConvKernels{.variant = variant}, shape, format) {}

  Conv2d(Conv2d&&) noexcept;
  ~Conv2d();

  bool emulates_format() const;

  /// The weight of the forward passes from now on, until this is called again, is one and the same:
  /// it is brought into the kernel's order once, on CPUs.
  void keep_weight() { kept_.stays(); }

  /// y = x ⋆ weight + bias, then max(0, ·) when `relu`; writes the interior of y for `batch`
  /// images, never the halo.
  void forward(const opencl::Buffer& x, const opencl::Buffer& weight, const opencl::Buffer& bias,
               const opencl::Buffer& y, int batch, bool relu);

  /// Whether forward_images is there: where operands are not rounded; on CPUs for inputs of few
  /// channels.
  bool takes_images() const;
  /// The same with x made on the way as NormaliseInput makes it: at least what a window looks at of
  /// its interior is written for the weight gradient.
  void forward_images(const ImageSource& images, const ChannelLaws& laws, const opencl::Buffer& x,
                      const opencl::Buffer& weight, const opencl::Buffer& bias,
                      const opencl::Buffer& y, int batch, bool relu);

  /// dx for `batch` images, interior only; with `mask`, dx is 0 where x ≤ 0 (x being the output of
  /// a ReLU). dx must not be x. Throws Error where output.halo < gradient_halo().
  void input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                      const opencl::Buffer& x, const opencl::Buffer& dx, int batch, bool mask);

  /// dweight and dbias, overwriting both. The sums run in an order that depends on shape and batch
  /// alone, so the same input gives the same bits. Memory for the sums of several passes comes when
  /// they first do.
  void weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                       const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                       const JoinedBatch& batch);

 private:
  /// Work-items over (images of the batch, tiles of channels).
  struct Grid {
    int images_per_item = 1;
    int channel_tiles = 1;
    opencl::Range over(int batch) const;
  };

  void build(int step_passes);
  void reserve_partial(int chunks);
  void expect_room(int batch) const;
  /// The weights to panels_, where they are not there.
  void pack(const opencl::Buffer& weight);
  /// The first `batch` images as the products are to read them; the same for the weight.
  const opencl::Buffer& operand(const opencl::Buffer& source, const Layout& layout, int batch,
                                RoundOperand::Side side);
  const opencl::Buffer& operand(const opencl::Buffer& weight);

  opencl::Device& device_;
  ConvKernels kernels_;
  Conv2dShape shape_;
  std::unique_ptr<Conv2dGpu> gpu_;  // of the variants for GPUs; then nothing below is there
  std::optional<RoundOperand> rounding_;
  Grid forward_grid_;
  Grid input_grid_;
  opencl::Range weight_range_;  // of one chunk of images
  opencl::Range sum_range_;
  int max_chunks_ = 1;
  opencl::Kernel forward_images_;  // without it: images are not taken
  opencl::Kernel pack_, forward_, pack_turned_, input_gradient_, weight_gradient_, sum_chunks_;
  opencl::Buffer panels_;   // cpu: the weights in the inner loop's order
  KeptWeight kept_;         // in panels_
  opencl::Buffer partial_;  // gradients per chunk of images
};

}  // namespace dovetail
