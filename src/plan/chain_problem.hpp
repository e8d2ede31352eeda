// Chooses how a chain of dense layers is cut for the tensor cores.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ops/dense_chain.hpp"
#include "plan/tuner.hpp"

namespace dovetail::plan {

/// The tuner's choice for `batch` samples, perhaps not as many as the chain will have room for.
/// `same_bits`: what sums are cut into is as estimated.
DenseChainKernels tuned_chain(Tuner& tuner, opencl::Device& device, const DenseChainShape& shape,
                              int batch, ComputeFormat format, bool same_bits = false);

/// Random samples and parameters, and what the twins make of them.
class ChainProblem {
 public:
  ChainProblem(const ChainProblem&) = delete;
  ChainProblem& operator=(const ChainProblem&) = delete;
  ChainProblem(opencl::Device& device, const DenseChainShape& shape, int batch,
               ComputeFormat format);

  /// Of forward_backward and, where the chain propagates, input_gradient (forward), or of
  /// weight_gradients, for the tuner; the problem must outlive it.
  template <typename Chain>
  Tuner::Trial trial(std::shared_ptr<Chain> chain, Direction direction) {
    const bool is_rows = direction != Direction::weight_gradient;
    poison(chain->maps());
    if (shape_.propagates) poison(dx_);
    const auto rows = [this, chain] {
      chain->forward_backward({.x = x_buffer_}, parameters_buffer_, {labels_buffer_}, {}, batch_);
      if (shape_.propagates)
        chain->input_gradient(x_buffer_, parameters_buffer_, dx_, batch_, true);
    };
    if (is_rows) return {rows, [this, chain] { return rows_fault(chain->maps()); }};
    poison(gradients_);
    rows();
    return {[this, chain] { chain->weight_gradients(x_buffer_, gradients_, statistics_, batch_); },
            [this, chain] { return weights_fault(chain->maps()); }};
  }

  // What is wrong with the results, or nothing. Each layer is held against its twin with what the
  // kernels made of the one before, as a rounding that falls to the other side would pass on; for
  // three samples, or for the weights of three inputs and all biases.
  std::string rows_fault(const opencl::Buffer& maps) const;
  std::string weights_fault(const opencl::Buffer& maps) const;

 private:
  using Doubles = std::vector<double>;

  void poison(const opencl::Buffer& buffer);
  /// Columns of `rows` of a layer's input or output gradient, [row, column].
  Doubles rows_of(const std::vector<float>& maps, std::size_t first, int width,
                  const std::vector<int>& rows, ComputeFormat format) const;
  Doubles input_of(const std::vector<float>& maps, std::size_t layer, const std::vector<int>& rows,
                   ComputeFormat format) const;
  /// As the twins have it: [out, in].
  Doubles weight_of(std::size_t layer) const;
  Doubles bias_of(std::size_t layer) const;
  /// Behind softmax and loss.
  Doubles last_gradient(const std::vector<float>& maps, const std::vector<int>& rows) const;

  opencl::Device& device_;
  DenseChainShape shape_;
  const std::vector<DenseChainLayer>& layers_ = shape_.layers;
  std::vector<dense_chain::Entry> entries_;
  int batch_;
  ComputeFormat format_;
  std::vector<float> x_, parameters_;
  std::vector<std::int32_t> labels_;
  opencl::Buffer x_buffer_, parameters_buffer_, labels_buffer_, gradients_, statistics_, dx_;
};

}  // namespace dovetail::plan
