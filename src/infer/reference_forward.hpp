// The twin of the training kernels' forward pass: by the reference operations, without a card.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/reference/training.hpp"
#include "quant/training_pack.hpp"

namespace dovetail::infer {

/// One pass: for each layer the step and the codes of its input, and what it gives.
struct ReferenceForward {
  std::vector<float> steps;
  std::vector<reference::CodeMaps> inputs;
  std::vector<reference::Activated> outputs;
};

/// Equal bit for bit to ForwardPass::run on `count` images [count, channels, height, width] of
/// uint8; the last output holds the logits, [count, classes, 1, 1]. For tests: plain loops, slow.
ReferenceForward forward_reference(const quant::TrainingNetwork& network,
                                   std::span<const std::uint8_t> images, std::size_t count);

/// A layer in the terms of the reference operations, and the outputs that the card stores.
reference::TrainingNumbers numbers_of(const quant::TrainingFormat& format);
reference::TrainingStep step_of(const quant::TrainingLayer& layer,
                                const quant::TrainingFormat& format);
reference::CodeMaps weights_of(const quant::TrainingLayer& layer);
int stored_outputs(const quant::TrainingLayer& layer);

}  // namespace dovetail::infer
