// Chooses the kernels of a convolution's products.
#pragma once

#include <memory>
#include <vector>

#include "ops/conv2d.hpp"
#include "plan/tuner.hpp"

namespace dovetail::plan {

/// The convolution with the tuner's choices for `directions`, those that will be used, and `batch`
/// images, perhaps not as many as the shape has room for. All three take one family of kernels, as
/// they share the layout of packed weights: the first's.
std::unique_ptr<Conv2d> tuned_conv(Tuner& tuner, opencl::Device& device, const Conv2dShape& room,
                                   int batch, ComputeFormat format,
                                   const std::vector<Direction>& directions);

/// Random operands of one product, and what its twin makes of them.
class ConvProblem {
 public:
  ConvProblem(opencl::Device& device, const Conv2dShape& shape, ComputeFormat format,
              Direction direction);

  /// For the tuner; the problem must outlive it.
  Tuner::Trial trial(std::shared_ptr<Conv2d> conv);
  /// The twin is asked for a few channels of the first and the last image, or for the weights of a
  /// few channels.
  std::string fault() const;

 private:
  std::vector<double> maps(const std::vector<float>& values, const Layout& layout,
                           const std::vector<int>& images, const std::vector<int>& channels,
                           ComputeFormat format) const;
  std::vector<double> weights(const std::vector<float>& values, const std::vector<int>& outs,
                              const std::vector<int>& ins, ComputeFormat format) const;
  /// Channels that the twin is asked for, so that it takes no long time.
  std::vector<int> spots(int channels, int images, int other_channels) const;

  opencl::Device& device_;
  Conv2dShape shape_;
  ComputeFormat format_;
  Direction direction_;
  std::vector<float> x_, dy_, weight_, bias_;
  opencl::Buffer x_buffer_, dy_buffer_, weight_buffer_, bias_buffer_, result_;
};

}  // namespace dovetail::plan
