// The options of boosts by FPGA ranks.
#pragma once

#include <optional>
#include <string>

#include "app/command_line.hpp"
#include "train/boost_settings.hpp"

namespace dovetail::app {

class BoostOptions {
 public:
  void add_to(CommandLine& line);
  /// @param first_format  of --fpga-format: scores are computed in it unless told otherwise
  /// @param batch         global
  /// Throws UsageError for what cannot be, and for what is typed and has no effect.
  BoostSettings parsed(const std::string& first_format, int batch) const;
  /// How contributed gradients are rounded; else to the nearest.
  bool stochastic() const { return rounding_ == "stochastic"; }
  /// Of contributed gradients.
  bool error_feedback() const { return feedback_; }

 private:
  void check(const BoostSettings& boost, int batch) const;
  /// An option that the others leave without effect is a mistake, wherever a person typed it.
  void expect_effects(const BoostSettings& boost) const;

  BoostSettings typed_;
  std::string share_ = "0", keep_ = "1", select_ = to_string(SelectKind::rank), weight_ = "1";
  std::string rounding_ = "stochastic";
  std::optional<int> staleness_;
  bool insist_ = false, feedback_ = false;
};

}  // namespace dovetail::app
