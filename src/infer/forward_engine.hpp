// Infers in fixed point, block floating point and integers of other widths than the inference
// engine's, by the forward pass of the training kernels.
#pragma once

#include <string>

#include "infer/forward_pass.hpp"
#include "infer/inference.hpp"

namespace dovetail::infer {

/// Takes packs of quant::pack_forward.
class ForwardEngine final : public Inference {
 public:
  /// @param card   loaded with the xclbin of the family; must outlive the engine.
  /// @param family quant::kernel_family of the formats to come: they differ in their bits alone.
  /// @param max_batch images in one pass, 1 to 4096. Throws Error where the xclbin lacks a kernel.
  ForwardEngine(fpga::Card& card, std::string family, int max_batch = 128);

  void load(const quant::WeightPack& pack) override;
  std::vector<float> run(std::span<const std::uint8_t> images, std::size_t count) override;

 private:
  std::string family_;
  int max_batch_;
  ForwardPass pass_;
};

}  // namespace dovetail::infer
