// The fused operations that a plan runs one after the other, and the feature maps between them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/activation.hpp"
#include "ops/batch_norm.hpp"
#include "ops/conv2d.hpp"
#include "ops/conv2d_gpu.hpp"
#include "ops/conv2d_mma.hpp"
#include "ops/conv2d_pool.hpp"
#include "ops/fake_quantise.hpp"
#include "ops/matmul.hpp"
#include "ops/norm_law.hpp"
#include "ops/normalise_input.hpp"
#include "ops/pool2d.hpp"
#include "plan/dense_problem.hpp"
#include "tensor/layout.hpp"

namespace dovetail::plan {

/// Feature maps between two operations, with their gradient when training.
/// Where `rectified`, the values come out of a fused ReLU, and whoever writes the gradient zeroes
/// it where value ≤ 0: so the gradient that an operation reads is always that of its own linear
/// part.
struct Edge {
  Layout layout;
  bool rectified = false;
  /// `value` is the map in front of a batch norm and ReLU, which the reader does by `law`.
  bool deferred = false;
  NormLaw law{};
  opencl::Buffer value;
  opencl::Buffer gradient;
  /// Those of the value, where its writer leaves them: of all samples of a pass, or of passes that
  /// were joined.
  std::optional<TileStatistics> statistics{};
  /// The same of a deferred value's gradient.
  std::optional<TileGradients> gradient_sums{};
  /// The batch norm behind leaves in `gradient` that of its own output, of which the value's writer
  /// makes its own by `gradient_law`.
  bool norm_gradient = false;
  NormLaw gradient_law{};
};

/// What a pass needs to know beyond the feature maps.
struct Pass {
  int batch = 0;   // samples
  int passes = 1;  // that were joined, of equally many samples
  bool training = false;
  std::uint64_t seed = 0;          // of the dropout masks
  std::uint64_t first_sample = 0;  // number of this batch's first sample within the training

  JoinedBatch joined() const { return {batch / passes, passes}; }
};

/// Device memory of one parameter tensor and its gradient.
struct DeviceParameter {
  opencl::Buffer value;
  opencl::Buffer gradient;
};

class Operation {
 public:
  /// @param last_layer index of the last model layer that is fused into this operation.
  Operation(Edge& in, Edge& out, std::size_t last_layer)
      : in_(in), out_(out), last_layer_(last_layer) {}
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  virtual void forward(const Pass& pass) = 0;
  /// Whether forward_images is there.
  virtual bool takes_images() const { return false; }
  /// As forward, with the input edge's value made from images on the way, as far as backward needs
  /// it.
  virtual void forward_images(const Pass& pass, const ImageSource& images, const ChannelLaws& laws);
  /// Its weight stays as it is now until this is called again.
  virtual void keep_weight() {}
  /// Writes the parameters' gradients and, with `propagate`, the gradient of the input edge.
  virtual void backward(const Pass& pass, bool propagate) = 0;
  /// Whether its operands are rounded to a compute format by passes of their own.
  virtual bool emulates_format() const { return false; }
  /// Whether it takes several passes at once.
  virtual bool joins(const JoinedBatch&) const { return true; }

  const Edge& in() const { return in_; }
  const Edge& out() const { return out_; }
  std::size_t last_layer() const { return last_layer_; }

 protected:
  Edge& in_;
  Edge& out_;

 private:
  std::size_t last_layer_;
};

/// What a convolution or dense layer multiplies with: its weight, or the weight rounded anew in
/// every forward pass.
class OperationWeight {
 public:
  explicit OperationWeight(DeviceParameter parameter);
  OperationWeight(opencl::Device& device, Variant variant, DeviceParameter parameter,
                  const WeightMatrix& matrix, const WeightLaw& law);
  /// Enqueues the rounding, if any; the weight of this pass.
  const opencl::Buffer& refresh();
  const opencl::Buffer& value() const { return quantiser_ ? quantised_ : parameter_.value; }
  const opencl::Buffer& gradient() const { return parameter_.gradient; }
  /// To be called when gradient() holds that of value(): makes it that of the parameter.
  void finish_gradient();
  bool is_quantised() const { return quantiser_.has_value(); }

 private:
  DeviceParameter parameter_;
  opencl::Buffer quantised_;
  std::optional<WeightQuantiser> quantiser_;
};

/// Convolution, bias and perhaps ReLU, by a Conv2d; by the others also max-pool.
template <typename Convolution>
class ConvolutionOperation : public Operation {
 public:
  ConvolutionOperation(Edge& in, Edge& out, std::size_t last_layer,
                       std::unique_ptr<Convolution> conv, OperationWeight weight,
                       DeviceParameter bias);
  void forward(const Pass& pass) override;
  bool takes_images() const override;
  void forward_images(const Pass& pass, const ImageSource& images,
                      const ChannelLaws& laws) override;
  void keep_weight() override;
  void backward(const Pass& pass, bool propagate) override;
  bool emulates_format() const override { return conv_->emulates_format(); }
  bool joins(const JoinedBatch& batch) const override {
    return batch.passes == 1 || !weight_.is_quantised();
  }

 private:
  std::unique_ptr<Convolution> conv_;
  OperationWeight weight_;
  DeviceParameter bias_;
};

using ConvOperation = ConvolutionOperation<Conv2d>;
using ConvPoolOperation = ConvolutionOperation<Conv2dPool>;
using ConvMmaOperation = ConvolutionOperation<Conv2dMma>;

/// Fully connected layer, bias and perhaps ReLU.
class DenseOperation : public Operation {
 public:
  DenseOperation(Edge& in, Edge& out, std::size_t last_layer, DenseProducts products,
                 OperationWeight weight, DeviceParameter bias);
  void forward(const Pass& pass) override;
  void keep_weight() override;
  void backward(const Pass& pass, bool propagate) override;
  bool emulates_format() const override { return products_.emulates_format(); }
  bool joins(const JoinedBatch& batch) const override {
    return batch.passes == 1 || (!weight_.is_quantised() && products_.joins(batch));
  }

 private:
  DenseProducts products_;
  OperationWeight weight_;
  DeviceParameter bias_;
};

class PoolOperation : public Operation {
 public:
  PoolOperation(opencl::Device& device, Variant variant, Edge& in, Edge& out,
                std::size_t last_layer, PoolKind kind, int kernel, int stride);
  void forward(const Pass& pass) override;
  void backward(const Pass& pass, bool propagate) override;

 private:
  Pool2d pool_;
};

/// A ReLU that could not be fused.
class ReluOperation : public Operation {
 public:
  ReluOperation(opencl::Device& device, Variant variant, Edge& in, Edge& out,
                std::size_t last_layer);
  void forward(const Pass& pass) override;
  void backward(const Pass& pass, bool propagate) override;

 private:
  Relu relu_;
};

/// The activation of quantisation-aware training. `step` is a float on the device where the law is
/// not binary; its gradient an empty Buffer where it is not learned.
class QuantisedActivationOperation : public Operation {
 public:
  QuantisedActivationOperation(opencl::Device& device, Variant variant, Edge& in, Edge& out,
                               std::size_t last_layer, const ActivationLaw& law,
                               DeviceParameter step);
  void forward(const Pass& pass) override;
  void backward(const Pass& pass, bool propagate) override;
  bool joins(const JoinedBatch& batch) const override { return batch.passes == 1; }

 private:
  ActivationQuantiser quantiser_;
  DeviceParameter step_;
};

/// Its masks are those of the stream `last_layer`.
class DropoutOperation : public Operation {
 public:
  DropoutOperation(opencl::Device& device, Variant variant, Edge& in, Edge& out,
                   std::size_t last_layer, float probability);
  void forward(const Pass& pass) override;
  void backward(const Pass& pass, bool propagate) override;

 private:
  opencl::Device& device_;
  Dropout dropout_;
  Relu relu_;
};

/// Statistics of one batch norm: of this batch (they ride along with the gradients), of each of
/// several passes [passes, channels], where a plan joins any, and running.
struct NormStatistics {
  opencl::Buffer batch_mean, batch_variance;
  opencl::Buffer running_mean, running_variance;
  opencl::Buffer pass_mean{}, pass_variance{};
  const opencl::Buffer& mean(const Pass& pass) const {
    return pass.passes > 1 ? pass_mean : batch_mean;
  }
  const opencl::Buffer& variance(const Pass& pass) const {
    return pass.passes > 1 ? pass_variance : batch_variance;
  }
};

/// Batch norm, perhaps ReLU, and perhaps max-pool. Where its output is deferred, it writes the law
/// alone; backward, too, where the convolution in front makes the gradient.
class BatchNormOperation : public Operation {
 public:
  BatchNormOperation(opencl::Device& device, Variant variant, Edge& in, Edge& out,
                     std::size_t last_layer, std::unique_ptr<BatchNorm> norm, DeviceParameter gamma,
                     DeviceParameter beta, NormStatistics statistics);
  void forward(const Pass& pass) override;
  void backward(const Pass& pass, bool propagate) override;

 private:
  std::unique_ptr<BatchNorm> norm_;
  Relu relu_;
  DeviceParameter gamma_, beta_;
  NormStatistics statistics_;
};

}  // namespace dovetail::plan
