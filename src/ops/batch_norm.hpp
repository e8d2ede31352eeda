// Batch normalisation per channel (Ioffe and Szegedy, 2015), forward and backward, perhaps with the
// max-pool behind it.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/batch_norm_sums.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// gamma, beta and their gradients are [channel_stride], mean and variance [passes,
/// channel_stride], of each pass by itself; padding lanes stay zero. x and dx lie in the input
/// layout, y and dy in the output layout; only interiors are written.
class BatchNorm {
 public:
  /// y lies as x. Throws Error unless epsilon > 0 and the layout's channel_stride is a multiple of
  /// channel_lanes.
  BatchNorm(opencl::Device& device, Variant variant, const Layout& layout, float epsilon);
  /// With the largest value of each window of `pool` × `pool` (stride `pool`, no padding, ragged
  /// edges left out) in one pass, behind any ReLU: the normalised map is never written. Throws
  /// Error, too, unless the output is the input's pooled by 2 or more.
  BatchNorm(opencl::Device& device, Variant variant, const Layout& input, const Layout& output,
            int pool, float epsilon);

  /// Training: y = (x − mean) / sqrt(variance + ε) · gamma + beta with each pass's biased
  /// statistics, which are stored in `mean` and `variance` for the backward pass and for the
  /// running averages; max(0, ·) when `relu`. With `tiles`, those of x, of a single pass, the
  /// statistics come from there.
  void forward(const opencl::Buffer& x, const opencl::Buffer& gamma, const opencl::Buffer& beta,
               const opencl::Buffer& mean, const opencl::Buffer& variance, const opencl::Buffer& y,
               const JoinedBatch& batch, bool relu, const TileStatistics* tiles = nullptr);

  /// The same but for y, which nobody needs where law() is done by who reads x, behind a ReLU; of a
  /// single pass.
  void prepare(const opencl::Buffer& x, const opencl::Buffer& gamma, const opencl::Buffer& beta,
               const opencl::Buffer& mean, const opencl::Buffer& variance, int batch,
               const TileStatistics* tiles = nullptr);
  NormLaw law() const { return sums_.law(); }

  /// Inference: forward with given (running) statistics, which are only read.
  void infer(const opencl::Buffer& x, const opencl::Buffer& gamma, const opencl::Buffer& beta,
             const opencl::Buffer& mean, const opencl::Buffer& variance, const opencl::Buffer& y,
             int batch, bool relu);
  /// As prepare(), of given statistics.
  void prepare_inference(const opencl::Buffer& gamma, const opencl::Buffer& beta,
                         const opencl::Buffer& mean, const opencl::Buffer& variance);

  /// dx, dgamma, dbeta from dy (gradient of y before any ReLU: mask it first) and the statistics
  /// that forward stored. Without a pool dx may be dy, and beta is not read. With one it goes
  /// behind forward() on the same x, and dy goes to the first of the largest values in its window.
  void backward(const opencl::Buffer& x, const opencl::Buffer& dy, const opencl::Buffer& gamma,
                const opencl::Buffer& beta, const opencl::Buffer& mean,
                const opencl::Buffer& variance, const opencl::Buffer& dx,
                const opencl::Buffer& dgamma, const opencl::Buffer& dbeta, const JoinedBatch& batch,
                const TileGradients* tiles = nullptr);

  /// As backward() without dx: for a reader of dy that applies law() itself. No pool, one pass.
  void prepare_backward(const opencl::Buffer& x, const opencl::Buffer& dy,
                        const opencl::Buffer& gamma, const opencl::Buffer& mean,
                        const opencl::Buffer& variance, const opencl::Buffer& dgamma,
                        const opencl::Buffer& dbeta, int batch,
                        const TileGradients* tiles = nullptr);

 private:
  /// dgamma, dbeta, and what dx needs.
  void sum_gradients(const opencl::Buffer& x, const opencl::Buffer& dy, const opencl::Buffer& gamma,
                     const opencl::Buffer& beta, const opencl::Buffer& mean,
                     const opencl::Buffer& variance, const opencl::Buffer& dgamma,
                     const opencl::Buffer& dbeta, const JoinedBatch& batch,
                     const TileGradients* tiles);
  void normalise(const opencl::Buffer& x, const opencl::Buffer& mean, const opencl::Buffer& beta,
                 const opencl::Buffer& y, const JoinedBatch& batch, bool relu);

  opencl::Device& device_;
  int capacity_;
  int pool_ = 1;
  BatchNormSums sums_;
  Lines output_;
  opencl::Kernel normalise_, slice_gradients_, input_gradient_;
};

}  // namespace dovetail
