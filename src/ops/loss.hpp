// Loss functions with their gradients.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/batch_source.hpp"
#include "ops/joined_batch.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// Losses and hits of a batch's samples, and their sums: what the losses below share.
class RowSums {
 public:
  /// @param work_items that share a row.
  RowSums(opencl::Device& device, const opencl::Program& program, std::size_t work_items);
  /// Room for `batch` rows, float32, and 16 floats more. Allocates only where a batch is larger
  /// than any before.
  void reserve(int batch);
  void sum_into(const opencl::Buffer& statistics, const JoinedBatch& batch);
  /// One work-group a row.
  opencl::Range groups(int rows) const;

  const opencl::Buffer& losses() const { return losses_; }
  const opencl::Buffer& hits() const { return hits_; }

 private:
  opencl::Device& device_;
  std::size_t work_items_;
  int capacity_ = 0;
  opencl::Buffer losses_;
  opencl::Buffer hits_;
  opencl::Kernel sum_rows_;
};

/// Softmax and cross-entropy of logits [batch, stride], of which the first `classes` columns count.
class SoftmaxCrossEntropy {
 public:
  /// Throws Error unless 1 ≤ classes ≤ stride and stride is a multiple of channel_lanes.
  SoftmaxCrossEntropy(opencl::Device& device, Variant variant, int classes, int stride);

  /// Labels are each in [0, classes); any other makes the sum of the losses NaN.
  /// statistics (float32 [3], overwritten): sum of the losses, number of samples whose largest
  /// logit (the first of equals) is the label's, samples. dlogits [batch,
  /// stride] = softmax − one-hot (the gradient of the *sum*, padding columns zero); dlogits must
  /// not be logits.
  void forward_backward(const opencl::Buffer& logits, const LabelSource& labels,
                        const opencl::Buffer& dlogits, const opencl::Buffer& statistics,
                        const JoinedBatch& batch);

 private:
  opencl::Device& device_;
  std::int32_t classes_;
  std::int32_t stride_;
  opencl::Program program_;
  RowSums rows_;
  opencl::Kernel kernel_;
};

/// Sum over samples of the mean over the columns of (prediction − target)², both [batch, stride].
class MeanSquaredError {
 public:
  /// Throws Error unless 1 ≤ columns ≤ stride and stride is a multiple of channel_lanes.
  MeanSquaredError(opencl::Device& device, Variant variant, int columns, int stride);

  /// statistics: sum of the losses, 0, samples. dprediction is the gradient of the
  /// sum, its padding columns zero.
  void forward_backward(const opencl::Buffer& prediction, const opencl::Buffer& target,
                        const opencl::Buffer& dprediction, const opencl::Buffer& statistics,
                        const JoinedBatch& batch);

 private:
  opencl::Device& device_;
  std::int32_t columns_;
  std::int32_t stride_;
  opencl::Program program_;
  RowSums rows_;
  opencl::Kernel kernel_;
};

/// Multiplies the gradient of a loss, [batch, stride], by a weight for each sample: importance
/// sampling's 1 / (n p).
class WeighRows {
 public:
  /// Throws Error unless stride is a multiple of channel_lanes.
  WeighRows(opencl::Device& device, Variant variant, int stride);
  /// weights are float32 [batch].
  void run(const opencl::Buffer& gradient, const opencl::Buffer& weights, int batch);

 private:
  opencl::Device& device_;
  std::size_t work_items_;
  std::int32_t stride_;
  opencl::Kernel kernel_;
};

}  // namespace dovetail
