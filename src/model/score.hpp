// Scores logits against labels on the host: cross-entropy and hits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dovetail {

struct Score {
  double loss_sum = 0;
  std::uint64_t correct = 0;
};

/// @param logits [labels.size(), classes], row-major. The first largest logit is the prediction.
Score score_logits(std::span<const float> logits, std::span<const std::int32_t> labels);

/// The cross-entropy of every sample, [labels.size()].
std::vector<float> sample_losses(std::span<const float> logits,
                                 std::span<const std::int32_t> labels);

}  // namespace dovetail
