// Optimiser updates: one launch over the whole arena of parameters.
#pragma once

#include <cstdint>

#include "device/opencl/device.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// The formulas of torch.optim.SGD, Adam and AdamW. Gradients arrive as sums; `gradient_scale` (1 /
/// samples) makes means of them. All buffers are float32 of the same length; momentum and moments
/// are zero before the first step.
class Update {
 public:
  Update(opencl::Device& device, Variant variant, std::size_t elements);

  struct Sgd {
    float learning_rate = 0.01f;
    float momentum = 0;
    float weight_decay = 0;
    bool nesterov = false;
  };
  /// The momentum buffer is neither read nor written where settings.momentum is 0; it may then be
  /// an empty Buffer.
  void sgd(const opencl::Buffer& parameters, const opencl::Buffer& gradients,
           const opencl::Buffer& momentum, const Sgd& settings, float gradient_scale);

  struct Adam {
    float learning_rate = 0.001f;
    float beta1 = 0.9f;
    float beta2 = 0.999f;
    float epsilon = 1e-8f;
    float weight_decay = 0;
    bool decoupled = false;  // AdamW: the decay acts on the parameter, not through the gradient
  };
  /// `step` counts from 1.
  void adam(const opencl::Buffer& parameters, const opencl::Buffer& gradients,
            const opencl::Buffer& first_moment, const opencl::Buffer& second_moment,
            const Adam& settings, float gradient_scale, std::uint64_t step);

 private:
  opencl::Device& device_;
  std::uint32_t elements_;
  opencl::Range range_;
  opencl::Kernel sgd_;
  opencl::Kernel sgd_momentum_;
  opencl::Kernel adam_;
};

}  // namespace dovetail
