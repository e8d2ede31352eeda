// Softmax cross-entropy in float64, stable by subtracting the largest logit.
#include "model/score.hpp"

#include <algorithm>
#include <cmath>

namespace dovetail {

Score score_logits(std::span<const float> logits, std::span<const std::int32_t> labels) {
  Score score;
  if (labels.empty()) return score;
  const std::size_t classes = logits.size() / labels.size();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = logits.subspan(i * classes, classes);
    const auto label = static_cast<std::size_t>(labels[i]);
    const auto largest = std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const float logit : row)
      sum += std::exp(static_cast<double>(logit) - static_cast<double>(*largest));
    score.loss_sum +=
        std::log(sum) + static_cast<double>(*largest) - static_cast<double>(row[label]);
    score.correct += static_cast<std::size_t>(largest - row.begin()) == label ? 1 : 0;
  }
  return score;
}

}  // namespace dovetail
