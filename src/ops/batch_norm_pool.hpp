// Batch normalisation with the ReLU and the max-pool behind it in one pass: the normalised map is
// never written.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/batch_norm_sums.hpp"
#include "ops/lines.hpp"
#include "ops/variant.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

/// As BatchNorm, then max(0, ·) when `relu`, then the largest value of each window of `pool` ×
/// `pool` (stride `pool`, no padding, ragged edges left out). x and dx lie in the input layout, y
/// and dy in the output layout; only interiors are written.
class BatchNormPool {
 public:
  /// Throws Error where BatchNorm does, or unless the output is the input's pooled by 2 or more.
  BatchNormPool(opencl::Device& device, Variant variant, const Layout& input, const Layout& output,
                int pool, float epsilon);

  /// Training; `mean` and `variance` are stored as BatchNorm::forward does.
  void forward(const opencl::Buffer& x, const opencl::Buffer& gamma, const opencl::Buffer& beta,
               const opencl::Buffer& mean, const opencl::Buffer& variance, const opencl::Buffer& y,
               int batch, bool relu);
  void infer(const opencl::Buffer& x, const opencl::Buffer& gamma, const opencl::Buffer& beta,
             const opencl::Buffer& mean, const opencl::Buffer& variance, const opencl::Buffer& y,
             int batch, bool relu);
  /// Behind forward() on the same x. dy: the gradient of y, zero where y is 0 behind a ReLU; it
  /// goes to the first of the largest values in its window.
  void backward(const opencl::Buffer& x, const opencl::Buffer& dy, const opencl::Buffer& gamma,
                const opencl::Buffer& beta, const opencl::Buffer& mean,
                const opencl::Buffer& variance, const opencl::Buffer& dx,
                const opencl::Buffer& dgamma, const opencl::Buffer& dbeta, int batch);

 private:
  void normalise(const opencl::Buffer& x, const opencl::Buffer& mean, const opencl::Buffer& beta,
                 const opencl::Buffer& y, int batch, bool relu);

  opencl::Device& device_;
  int capacity_;
  int pool_;
  BatchNormSums sums_;
  Lines output_;
  opencl::Kernel normalise_, slice_gradients_, input_gradient_;
};

}  // namespace dovetail
