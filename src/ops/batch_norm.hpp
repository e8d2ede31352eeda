// Batch normalisation per channel (Ioffe and Szegedy, 2015), forward and backward.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/batch_norm_sums.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// gamma, beta, mean, variance and their gradients are [channel_stride]; padding lanes stay zero.
/// x, y, dy and dx lie in `layout`; only interiors are written.
class BatchNorm {
 public:
  /// Throws Error unless epsilon > 0 and the layout's channel_stride is a multiple of
  /// channel_lanes.
  BatchNorm(opencl::Device& device, Variant variant, const Layout& layout, float epsilon);

  /// Training: y = (x − mean) / sqrt(variance + ε) · gamma + beta with this batch's biased
  /// statistics, which are stored in `mean` and `variance` for the backward pass and for the
  /// running averages; max(0, ·) when `relu`.
  void forward(const opencl::Buffer& x, const opencl::Buffer& gamma, const opencl::Buffer& beta,
               const opencl::Buffer& mean, const opencl::Buffer& variance, const opencl::Buffer& y,
               int batch, bool relu);

  /// Inference: the same with given (running) statistics, which are only read.
  void infer(const opencl::Buffer& x, const opencl::Buffer& gamma, const opencl::Buffer& beta,
             const opencl::Buffer& mean, const opencl::Buffer& variance, const opencl::Buffer& y,
             int batch, bool relu);

  /// dx, dgamma, dbeta from dy (gradient of y before any ReLU: mask it first) and the statistics
  /// that forward stored. dx may be dy.
  void backward(const opencl::Buffer& x, const opencl::Buffer& dy, const opencl::Buffer& gamma,
                const opencl::Buffer& mean, const opencl::Buffer& variance,
                const opencl::Buffer& dx, const opencl::Buffer& dgamma, const opencl::Buffer& dbeta,
                int batch);

 private:
  void normalise(const opencl::Buffer& x, const opencl::Buffer& mean, const opencl::Buffer& beta,
                 const opencl::Buffer& y, int batch, bool relu);

  opencl::Device& device_;
  int capacity_;
  BatchNormSums sums_;
  opencl::Kernel normalise_, slice_gradients_, input_gradient_;
};

}  // namespace dovetail
