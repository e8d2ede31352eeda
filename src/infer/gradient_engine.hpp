// What an FPGA rank needs of an engine that contributes gradients to the training.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dovetail::infer {

/// Sums over the samples of one call.
struct GradientSums {
  /// Of the summed (not mean) loss, float32: every parameter in the order and the layout of
  /// Model::parameters(), one after the other.
  std::vector<float> gradients;
  double loss_sum = 0;
  std::uint64_t correct = 0;
};

/// Forward and backward in the engine's own number format. Not for use by several threads at once.
class GradientEngine {
 public:
  virtual ~GradientEngine() = default;

  /// Takes float32 weights, in the order and the layout of Model::parameters(), one after the
  /// other, and turns them into the engine's format. Throws Error where their number is wrong or
  /// the card fails.
  virtual void load(std::span<const float> parameters) = 0;

  /// @param images uint8 [labels.size(), channels, height, width].
  /// @param first_sample numbers the first of them within the training: random rounding is a
  /// function of it and of the seed that the engine was made with, so that a run can be repeated.
  /// Throws Error when the card fails.
  virtual GradientSums gradients(std::span<const std::uint8_t> images,
                                 std::span<const std::int32_t> labels,
                                 std::uint64_t first_sample) = 0;
};

}  // namespace dovetail::infer
