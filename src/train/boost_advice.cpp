// Puts counters into words.
#include "train/boost_advice.hpp"

#include "quant/training_format.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

bool is_much(std::uint64_t lacking, std::uint64_t all) {
  return static_cast<double>(lacking) > much_missing * static_cast<double>(all);
}

std::string percent(std::uint64_t part, std::uint64_t all) {
  return fmt::format("{:.0f} %", 100 * static_cast<double>(part) / static_cast<double>(all));
}

}  // namespace

std::vector<BoostWarning> boost_warnings(const BoostSettings& settings,
                                         const BoostCounters& counters,
                                         std::optional<double> cosine) {
  std::vector<BoostWarning> found;
  const std::uint64_t steps = counters.selected_steps + counters.late_scores;
  if (settings.needs_scores() && is_much(counters.late_scores, steps)) {
    found.push_back(
        {"late_scores",
         fmt::format("scores came too late for {} of {} steps ({}), which trained on unscored "
                     "samples: raise --boost-select (smaller pools), give more FPGA ranks, or let "
                     "the GPU ranks wait with --boost-wait",
                     counters.late_scores, steps, percent(counters.late_scores, steps))});
  }
  const std::uint64_t asked = counters.boosted_samples + counters.missing_samples;
  if (settings.contributes() && is_much(counters.missing_samples, asked)) {
    found.push_back(
        {"missing_gradients",
         fmt::format("gradients of {} of {} contributed samples ({}) were not there in time, and "
                     "their steps were the smaller for it: lower --boost, give more FPGA ranks, or "
                     "let the GPU ranks wait with --boost-wait",
                     counters.missing_samples, asked, percent(counters.missing_samples, asked))});
  }
  if (settings.contributes() && cosine && *cosine < low_cosine) {
    found.push_back(
        {"low_cosine",
         fmt::format("contributed gradients in {} point elsewhere than float32 ones, mean cosine "
                     "{:.2f} (below {:.1f}). {}",
                     settings.gradient_format, *cosine, low_cosine,
                     quant::remedy_for_divergence(settings.gradient_format, settings.staleness))});
  }
  return found;
}

}  // namespace dovetail
