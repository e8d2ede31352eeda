// Optimiser updates: one launch over the whole arena of parameters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "device/opencl/device.hpp"
#include "ops/variant.hpp"

namespace dovetail {

/// What an update looks at beside parameters and gradients.
struct BesideUpdate {
  opencl::Buffer record{};
  opencl::Buffer scale{}, next_scale{};  // `next_scale` becomes what follows from `scale`
  float largest_scale = 0;               // does not double
  std::uint32_t patience = 0;            // finite steps after which it doubles
};

/// The formulas of torch.optim.SGD, Adam and AdamW. Gradients arrive as sums; `gradient_scale` (1 /
/// samples) makes means of them. All buffers are float32 of the same length; momentum and moments
/// are zero before the first step.
///
/// An update that is given a record makes it as RecordSums does, of the same sums: gradients are
/// then those sums, with `rest` floats behind them.
///
/// With a loss scale, RecordSums has made the record: gradients are times the scale, and the update
/// does nothing where one of them is not finite.
class Update {
 public:
  /// On the device: a loss scale, float32, and the steps since it last changed, uint32.
  static constexpr std::size_t scale_bytes = 8;
  /// `rest` 0: without records. Kernels with records or scales are built with the first one.
  Update(opencl::Device& device, Variant variant, std::size_t elements, std::size_t rest = 0);

  struct Sgd {
    float learning_rate = 0.01f;
    float momentum = 0;
    float weight_decay = 0;
    bool nesterov = false;
  };
  /// The momentum buffer is neither read nor written where settings.momentum is 0; it may then be
  /// an empty Buffer.
  void sgd(const opencl::Buffer& parameters, const opencl::Buffer& gradients,
           const opencl::Buffer& momentum, const Sgd& settings, float gradient_scale,
           const BesideUpdate& beside = {});

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
            const Adam& settings, float gradient_scale, std::uint64_t step,
            const BesideUpdate& beside = {});

 private:
  struct Kernels {
    opencl::Kernel sgd, sgd_momentum, adam;
  };
  Kernels build(const std::vector<std::string>& definitions);
  static Kernels kernels_of(const opencl::Program& program);
  /// Throws Error where the buffers have other lengths.
  const Kernels& kernels_for(const opencl::Buffer& parameters, const opencl::Buffer& gradients,
                             const BesideUpdate& beside);
  template <typename... Arguments>
  void launch(const opencl::Kernel& kernel, const BesideUpdate& beside,
              const Arguments&... arguments);

  opencl::Device& device_;
  std::uint32_t elements_, rest_;
  opencl::Range range_;
  Kernels plain_;
  std::optional<Kernels> recording_, scaled_;
  std::optional<opencl::Kernel> follow_scale_;
};

}  // namespace dovetail
