// What the command line asks of the boosts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "train/choice.hpp"

namespace dovetail {

/// Steps between two publications of weights, less one, unless said otherwise: scores bear old
/// weights, gradients do not (docs/boosting.md).
inline constexpr std::uint64_t usual_score_staleness = 20, usual_contribution_staleness = 0;

struct BoostSettings {
  // ---- contributed gradients
  double share = 0;                      // of the global batch; 0: none
  std::string gradient_format = "int8";  // that the FPGA ranks compute them in
  std::optional<double> weight = 1.0;    // of a contributed sample; nullopt: as measured
  std::uint64_t measure_every = 50;      // steps between two measurements

  // ---- selected samples
  double keep = 1;  // of the pool; 1: all, nothing is selected
  SelectKind select = SelectKind::rank;
  double discount = 4;        // how much less the rank of an old score counts: rank_exponent()
  std::string select_format;  // that scores are computed in; "float32": by the GPU ranks

  // ---- both
  bool wait = false;  // GPU ranks wait for what the FPGA ranks bring
  std::uint64_t staleness = usual_score_staleness;

  bool selects() const { return keep < 1; }
  bool contributes() const { return share > 0; }
  bool scores_on_gpu() const { return select_format == "float32"; }
  /// Whether the FPGA ranks score samples.
  bool needs_scores() const {
    return selects() && select != SelectKind::random && !scores_on_gpu();
  }
  bool any() const { return selects() || contributes(); }
  /// Whether the hard ones are chosen by scores of weights that may have moved on.
  bool judges_by_old_scores() const {
    const bool fresh = scores_on_gpu() || (wait && staleness == 0);
    return selects() && select == SelectKind::hard && !fresh;
  }
  bool needs_fpga() const { return needs_scores() || contributes(); }
};

/// What came of it; the lead GPU rank counts.
struct BoostCounters {
  std::uint64_t boosted_steps = 0;     // with contributed gradients in them
  std::uint64_t boosted_samples = 0;   // whose gradients were contributed
  std::uint64_t missing_samples = 0;   // that were left out: no gradients were there in time
  std::uint64_t selected_steps = 0;    // whose samples were chosen
  std::uint64_t selected_samples = 0;  // that were chosen so
  std::uint64_t late_scores = 0;       // steps whose scores were not there in time
  std::uint64_t late_gradients = 0;    // contributions that came too late, and were left out

  /// How old the weights were, in steps, that scores or gradients were computed with.
  struct Staleness {
    std::uint64_t count = 0, sum = 0, largest = 0;
    void add(std::uint64_t steps) {
      ++count;
      sum += steps;
      largest = steps > largest ? steps : largest;
    }
    double mean() const {
      return count == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(count);
    }
  };
  Staleness score_staleness, gradient_staleness;
};

}  // namespace dovetail
