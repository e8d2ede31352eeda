// Loss functions with their gradients.
#pragma once

#include "device/opencl/device.hpp"
#include "ops/batch_source.hpp"
#include "ops/joined_batch.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// Losses and hits of a batch's samples, and their sums: what every loss needs.
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

/// A loss of rows [batch, stride], of which the first `columns` count, by a label for each row. All
/// below throw Error unless 1 ≤ columns ≤ stride and stride is a multiple of channel_lanes.
/// Twins: ops/reference/loss.hpp.
class LabelLoss {
 public:
  /// Of a row's softmax.
  static LabelLoss cross_entropy(opencl::Device& device, Variant variant, int columns, int stride);
  /// A row's mean over the columns of (value − target)², where the target is 1 in the label's
  /// column and 0 in the others.
  static LabelLoss squared_error(opencl::Device& device, Variant variant, int columns, int stride);

  /// Labels are each in [0, columns); any other makes the sum of the losses NaN.
  /// statistics (float32 [3], overwritten): sum of the losses, number of rows whose largest value
  /// (the first of equals) is the label's, rows. gradient [batch, stride]: that of the *sum*, its
  /// padding columns zero; it must not be rows.
  void forward_backward(const opencl::Buffer& rows, const LabelSource& labels,
                        const opencl::Buffer& gradient, const opencl::Buffer& statistics,
                        const JoinedBatch& batch);

 private:
  LabelLoss(opencl::Device& device, Variant variant, const kernels::Entry& entry, int columns,
            int stride);

  opencl::Device& device_;
  std::int32_t columns_;
  std::int32_t stride_;
  opencl::Program program_;
  RowSums sums_;
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
  /// weights *= scale, a float32 on the device, or, where they are new, = scale.
  void scale(const opencl::Buffer& weights, int batch, const opencl::Buffer& scale, bool are_new);

 private:
  opencl::Device& device_;
  std::size_t work_items_;
  std::int32_t stride_;
  opencl::Program program_;
  opencl::Kernel kernel_, scale_;
};

}  // namespace dovetail
