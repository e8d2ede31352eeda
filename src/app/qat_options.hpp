// The options of quantisation-aware training.
#pragma once

#include <optional>
#include <string>

#include "app/command_line.hpp"
#include "model/quantisation.hpp"

namespace dovetail::app {

class QatOptions {
 public:
  void add_to(CommandLine& line);
  /// Nothing where --qat was not given. Throws UsageError for what training cannot round to, and
  /// for --qat-scale without it.
  std::optional<Quantisation> parsed() const;

 private:
  std::string format_ = "none";
  std::string scale_ = to_string(StepKind::learned);
};

}  // namespace dovetail::app
