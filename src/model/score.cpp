// Softmax cross-entropy in float64, stable by subtracting the largest logit.
#include "model/score.hpp"

#include <algorithm>
#include <cmath>

namespace dovetail {

namespace {

/// Of one row of logits.
double cross_entropy(std::span<const float> row, std::size_t label, double largest) {
  double sum = 0;
  for (const float logit : row) sum += std::exp(static_cast<double>(logit) - largest);
  return std::log(sum) + largest - static_cast<double>(row[label]);
}

}  // namespace

Score score_logits(std::span<const float> logits, std::span<const std::int32_t> labels) {
  Score score;
  if (labels.empty()) return score;
  const std::size_t classes = logits.size() / labels.size();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = logits.subspan(i * classes, classes);
    const auto label = static_cast<std::size_t>(labels[i]);
    const auto largest = std::max_element(row.begin(), row.end());
    score.loss_sum += cross_entropy(row, label, static_cast<double>(*largest));
    score.correct += static_cast<std::size_t>(largest - row.begin()) == label ? 1 : 0;
  }
  return score;
}

std::vector<float> sample_losses(std::span<const float> logits,
                                 std::span<const std::int32_t> labels) {
  std::vector<float> losses;
  if (labels.empty()) return losses;
  const std::size_t classes = logits.size() / labels.size();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = logits.subspan(i * classes, classes);
    const auto largest = static_cast<double>(*std::max_element(row.begin(), row.end()));
    losses.push_back(
        static_cast<float>(cross_entropy(row, static_cast<std::size_t>(labels[i]), largest)));
  }
  return losses;
}

}  // namespace dovetail
