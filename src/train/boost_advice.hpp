// Tells when a boost brings too little, and what to do about it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "train/boost_settings.hpp"

namespace dovetail {

/// Above this share of what a boost was asked for, what came late or not at all is worth a warning.
inline constexpr double much_missing = 0.5;
/// Below this mean cosine with float32 contributed gradients brought nothing or ruined the training
/// (docs/boosting.md).
inline constexpr double low_cosine = 0.8;

struct BoostWarning {
  std::string kind;  // "late_scores", "missing_gradients" or "low_cosine"
  std::string text;  // problem and remedy
};

/// @param cosine mean over the measured steps, if any were.
std::vector<BoostWarning> boost_warnings(const BoostSettings& settings,
                                         const BoostCounters& counters,
                                         std::optional<double> cosine);

}  // namespace dovetail
