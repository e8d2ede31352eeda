// What boosts a training step: something that gives the gradients of samples under a published
// weight pack.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/weight_pack.hpp"
#include "tensor/tensor.hpp"

namespace dovetail::infer {

/// Sums over the samples of one call, as the all-reduce of the GPU ranks adds them.
struct GradientSums {
  std::uint64_t version = 0;          // of the weight pack: optimiser steps done
  std::uint64_t samples = 0;          // in the sums
  std::uint64_t correct = 0;          // of them classified correctly
  double loss_sum = 0;                // cross-entropy
  std::vector<Parameter> parameters;  // names, order and layouts of Model::parameters()
};

/// Not for use by several threads at once.
class GradientSource {
 public:
  virtual ~GradientSource() = default;

  /// Takes a training pack (quant/training_pack.hpp). Throws Error for a damaged pack, another
  /// format, or layers that the source cannot differentiate; what was loaded before then stays.
  virtual void load(const quant::WeightPack& pack) = 0;

  /// Gradient sums of the cross-entropy of `labels.size()` samples; no samples give zeros.
  /// @param images [count, channels, height, width], uint8
  /// @param labels [count], each below the number of classes
  /// @param draw   picks the bits of stochastic rounding: one number a step and rank, such as the
  ///               number of the first sample within the training. The same seed, pack, samples and
  ///               draw give the same bits.
  /// Throws Error when nothing is loaded, for sizes or labels that do not fit, or when a launch
  /// fails.
  virtual GradientSums gradients(std::span<const std::uint8_t> images,
                                 std::span<const std::int32_t> labels, std::uint64_t draw) = 0;
};

}  // namespace dovetail::infer
