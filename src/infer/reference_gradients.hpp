// The gradient engine's twin: a low-precision training step by the reference operations, without a
// card.
#pragma once

#include "infer/gradient_step.hpp"
#include "infer/training_outputs.hpp"

namespace dovetail::infer {

struct ReferenceForward;

/// Equal bit for bit to GradientEngine with the same options. For tests: plain loops, slow.
class ReferenceGradients final : public GradientSource {
 public:
  explicit ReferenceGradients(GradientOptions options);

  void load(const quant::WeightPack& pack) override;
  GradientSums gradients(std::span<const std::uint8_t> images, std::span<const std::int32_t> labels,
                         std::uint64_t draw) override;
  /// As GradientEngine::observe.
  void observe(LayerObserver observer) { outputs_.observe(std::move(observer)); }

 private:
  void add_pass(std::span<const std::uint8_t> images, std::span<const std::int32_t> labels,
                std::uint64_t draw, GradientSums& sums) const;
  void show_forward(const ReferenceForward& pass) const;

  GradientOptions options_;
  quant::TrainingNetwork network_;
  SumRounding rounding_;
  TrainingOutputs outputs_;
};

}  // namespace dovetail::infer
