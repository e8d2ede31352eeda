// Computes gradients in low precision on one FPGA card.
#pragma once

#include <vector>

#include "device/xrt/card.hpp"
#include "infer/forward_pass.hpp"
#include "infer/gradient_step.hpp"
#include "infer/training_outputs.hpp"

namespace dovetail::infer {

/// The name of the xclbin that a format needs: "training_int8", "training_fixed16" or
/// "training_bfp". Throws UsageError for a format without one.
std::string gradient_kernels(const std::string& format);

/// Forward and backward pass layer by layer; maps, routes and gradients stay on the card, only
/// largest magnitudes, logits and the sums come back. Buffers are allocated when a network of
/// another shape is loaded, never while running.
class GradientEngine final : public GradientSource {
 public:
  /// @param card          loaded with the xclbin of gradient_kernels(options.format); must outlive
  ///                      the engine.
  /// @param compute_units of each heavy kernel, to share every pass; the xclbins have 2. Throws
  /// UsageError for options that cannot work, Error where the xclbin lacks a kernel.
  GradientEngine(fpga::Card& card, GradientOptions options, int compute_units = 2);

  void load(const quant::WeightPack& pack) override;
  GradientSums gradients(std::span<const std::uint8_t> images, std::span<const std::int32_t> labels,
                         std::uint64_t draw) override;

  /// From now on shows what every kernel gave, read back from the card behind each launch; an empty
  /// observer ends that.
  void observe(LayerObserver observer) { outputs_.observe(std::move(observer)); }

  const GradientOptions& options() const { return options_; }

 private:
  /// The heavy kernels of the way back as one thread launches them.
  struct Unit {
    fpga::Kernel input_gradient, weight_gradient;
  };
  /// What a layer needs on the way back. The real maps of the way forward serve the gradients, too.
  struct Step {
    fpga::Buffer gradient, weight_sums, bias_sums;
  };
  struct Pass;

  std::vector<Step> allocate(const quant::TrainingNetwork& network);
  void add_pass(const Pass& pass, GradientSums& sums);
  void differentiate_loss(const Pass& pass, GradientSums& sums);
  void backward(const Pass& pass, std::size_t layer, GradientSums& sums);
  void add_sums(std::size_t layer, GradientSums& sums);
  void show_forward(int batch);
  void show_gradient(std::size_t layer, int batch);
  void show_input_gradient(std::size_t layer, int batch);

  fpga::Card& card_;
  GradientOptions options_;
  ForwardPass forward_;
  std::vector<Unit> units_;
  std::vector<Step> steps_;
  float gradient_largest_ = 0;  // magnitude, of the gradient that goes back next
  SumRounding rounding_;
  TrainingOutputs outputs_;
};

}  // namespace dovetail::infer
