// 2-D convolution, bias, ReLU and perhaps max-pool in one pass on NVIDIA's tensor cores, forward
// and backward.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/compute_format.hpp"
#include "ops/conv2d_fused.hpp"
#include "ops/conv2d_mma_tiles.hpp"
#include "ops/conv2d_pool.hpp"
#include "ops/direction.hpp"
#include "ops/joined_batch.hpp"
#include "ops/normalise_input.hpp"
#include "ops/tile_statistics.hpp"

namespace dovetail {

/// One way to cut a convolution's three products for the tensor cores; none: as estimated.
struct ConvMmaKernels {
  std::optional<conv_mma::Cut> forward{}, input_gradient{};
  std::optional<conv_mma::GradientCut> weight_gradient{};

  /// What is cut how: "mma, 256x64 by 4 warps", "wgmma, 256x64 by 2 warpgroups", "mma, 32x64, 2
  /// groups a unit"; "mma" as estimated.
  std::string name(Direction direction) const;
  /// Whether some of it needs InstructionSet::wgmma.
  bool by_warpgroup() const {
    return (forward && forward->by_warpgroup()) ||
           (input_gradient && input_gradient->by_warpgroup()) ||
           (weight_gradient && weight_gradient->by_warpgroup);
  }
};

/// The ways to try for one direction of a shape that Conv2dMma fits, the estimated one first. The
/// other directions are left as estimated. `warpgroups`: those for InstructionSet::wgmma, too,
/// which add up in another order. `same_bits`: only such as give the same bits, whatever the batch:
/// those by warpgroup alone, or, where there are none, those by warp; and one weight gradient. Bits
/// of statistics depend on the cut.
std::vector<ConvMmaKernels> conv_mma_candidates(const Conv2dPoolShape& shape, Direction direction,
                                                ComputeFormat format, bool warpgroups,
                                                bool same_bits = false);

/// For devices that take InstructionSet::mma. Operands are rounded to the format on their way.
/// As in Conv2dPool, the feature map in front of a pool is never stored; Conv2dPoolShape::pool is 2
/// here, or 1 for a convolution without a pool. kernels/conv2d_mma.cl,
/// conv2d_wgmma.cl and their *_weight.cl say how it works.
class Conv2dMma : public Conv2dFused {
 public:
  /// Whether there are kernels for it: stride 1 but for inputs of few channels, kernels of 2 to 5
  /// pixels, and operands that fit shared memory.
  static bool fits(const Conv2dPoolShape& shape);

  /// Builds the kernels. Throws Error with the compiler's log, where the shape breaks what is said
  /// above or does not fit, or for float32. Without `training` there are no gradients.
  /// `step_passes`: of a step on all ranks; the pixels of one are cut into so many fewer chunks for
  /// the weight gradient that about two passes' fill a device, however many of them it has.
  Conv2dMma(opencl::Device& device, const Conv2dPoolShape& shape, bool training,
            ComputeFormat format, const ConvMmaKernels& kernels = {}, int step_passes = 1);

  bool emulates_format() const { return false; }

  /// Of a shape with norm_gradient: weight_gradient, of a single pass, takes for dy what the batch
  /// norm of `law`, behind its sums over dy, makes of dy and `y`, the convolution's output.
  void set_output_norm(const opencl::Buffer& y, const NormLaw& law) {
    output_ = y;
    output_law_ = law;
  }
  bool makes_norm_gradient() const { return shape_.norm_gradient && training_; }

  /// y = max over each window of x ⋆ weight + bias, then max(0, ·) when `relu`; the interior for
  /// `batch` images. A NaN in a window makes its y NaN. Weights and bias as in Conv2d.
  void forward(const opencl::Buffer& x, const opencl::Buffer& weight, const opencl::Buffer& bias,
               const opencl::Buffer& y, int batch, bool relu);

  /// Those of the last forward pass, of what it stored; nullptr unless the shape asks for them.
  const TileStatistics* statistics() const { return shape_.statistics ? &statistics_ : nullptr; }

  /// Whether forward_images is there: for inputs of few channels.
  bool takes_images() const { return static_cast<bool>(forward_images_); }
  /// The same with x made on the way, as NormaliseInput makes it: what a window looks at of its
  /// interior is written for the weight gradient.
  void forward_images(const ImageSource& images, const ChannelLaws& laws, const opencl::Buffer& x,
                      const opencl::Buffer& weight, const opencl::Buffer& bias,
                      const opencl::Buffer& y, int batch, bool relu);

  // The gradients are those of the last forward pass, whose maxima this object remembers: the first
  // one of a window, in row-major order, takes its gradient. Where forward rectified, dy must be
  // zero where y ≤ 0.

  /// dx for `batch` images, interior only; with `mask`, dx is 0 where x ≤ 0. `weight` must be that
  /// of the last forward pass, of which a copy is read. Throws Error where the
  /// input's channels are not padded, or, without a pool, output.halo is less than kernel − 1 −
  /// padding.
  void input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                      const opencl::Buffer& x, const opencl::Buffer& dx, int batch, bool mask);

  /// Those of the last input_gradient, of what it stored; nullptr unless the shape asks for them.
  const TileGradients* gradient_sums() const {
    return shape_.gradient_sums && training_ ? &gradient_sums_ : nullptr;
  }

  /// dweight and dbias, overwriting both; dbias sums dy as it is. The sums run in an order that
  /// depends on shape, batch and the device's number of compute units. Memory for the sums of
  /// several passes comes when they first do.
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

  static Product product_of(const conv_mma::ProductTiles& tiles, opencl::Kernel kernel);
  Product wide_product(const conv_mma::ProductTiles& tiles);
  void build_forward();
  void build_packing();
  void build_input_gradient();
  void build_weight_gradient();
  /// Room for a number of each of these tiles and channels, where they have statistics.
  opencl::Buffer tile_numbers(const conv_mma::ProductTiles& tiles) const;

  ComputeFormat format_;
  ConvMmaKernels kernels_;
  int step_passes_;
  NormLaw output_law_;
  opencl::Buffer output_;
  Product forward_, input_gradient_;
  opencl::Kernel forward_images_;          // of few channels
  opencl::Kernel pack_, weight_gradient_;  // pack_: not of few channels
  int gradient_threads_ = 1;
  int gradient_tiles_ = 1;    // of channels of x × channels of y
  int pixels_per_image_ = 1;  // that the weight gradient visits
  int tile_pixels_ = 1;       // of them in a tile
  int max_chunks_ = 1;
  opencl::Buffer packed_, turned_;  // the weights as forward and input_gradient read them
  // Small buffers that nothing writes where none are asked for.
  TileStatistics statistics_;
  TileGradients gradient_sums_;
};

}  // namespace dovetail
