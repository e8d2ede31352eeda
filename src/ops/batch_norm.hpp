// Batch normalisation per channel (Ioffe and Szegedy, 2015), forward and backward.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/lines.hpp"
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
  /// How a batch's lines are cut into slices, each summed up by itself.
  struct Slices {
    std::int32_t lines;  // in all
    std::int32_t slice_lines;
    std::int32_t count;
  };
  Slices slices(int batch) const;
  opencl::Range folding_groups() const;
  void normalise(const opencl::Buffer& x, const opencl::Buffer& mean, const opencl::Buffer& beta,
                 const opencl::Buffer& y, int batch, bool relu);

  opencl::Device& device_;
  int capacity_;
  Lines lines_;
  std::int32_t max_slices_;
  std::size_t fold_items_;
  float epsilon_;
  opencl::Buffer slice_first_;   // means, or sums of dy: [slices, channel_stride]
  opencl::Buffer slice_second_;  // squared deviations, or sums of dy · (x − mean)
  opencl::Buffer scale_;         // [channel_stride], as are the next two
  opencl::Buffer offset_;
  opencl::Buffer slope_;
  opencl::Kernel slice_statistics_;
  opencl::Kernel batch_statistics_;
  opencl::Kernel inference_scale_;
  opencl::Kernel normalise_;
  opencl::Kernel slice_gradients_;
  opencl::Kernel batch_gradients_;
  opencl::Kernel input_gradient_;
};

}  // namespace dovetail
