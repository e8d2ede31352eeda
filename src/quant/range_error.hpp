// Tells numbers that no format can express apart from all other failures of quantising.
#pragma once

#include "support/error.hpp"

namespace dovetail::quant {

/// Weights, maps or gradients are not finite, or their ranges too far apart for the format. No
/// device has failed: where it happens in training, the training has diverged.
class RangeError : public Error {
 public:
  explicit RangeError(const std::string& problem, const std::string& remedy = "")
      : Error(problem, remedy), problem_(problem) {}
  /// Without the remedy, for those who know a better one.
  const std::string& problem() const { return problem_; }

 private:
  std::string problem_;
};

}  // namespace dovetail::quant
