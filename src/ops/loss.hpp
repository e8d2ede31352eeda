// Loss functions with their gradients.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// Softmax and cross-entropy of logits [batch, stride], of which the first `classes` columns count.
class SoftmaxCrossEntropy {
 public:
  SoftmaxCrossEntropy(opencl::Device& device, Variant variant, int classes, int stride);

  /// labels are int32 [batch], each in [0, classes).
  /// statistics (float32 [3], overwritten): sum of the losses, number of samples whose largest logit is the label's,
  /// batch. dlogits [batch, stride] = softmax − one-hot (the gradient of the *sum*, padding columns zero).
  void forward_backward(const opencl::Buffer& logits, const opencl::Buffer& labels, const opencl::Buffer& dlogits,
                        const opencl::Buffer& statistics, int batch);
};

/// Sum over samples of the mean over the columns of (prediction − target)², both [batch, stride].
class MeanSquaredError {
 public:
  MeanSquaredError(opencl::Device& device, Variant variant, int columns, int stride);

  /// statistics: sum of the losses, 0, batch. dprediction is the gradient of the sum.
  void forward_backward(const opencl::Buffer& prediction, const opencl::Buffer& target,
                        const opencl::Buffer& dprediction, const opencl::Buffer& statistics, int batch);
};

}  // namespace dovetail
