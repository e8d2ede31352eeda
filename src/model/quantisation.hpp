// What quantisation-aware training rounds to, as settings.
#pragma once

#include <string>

namespace dovetail {

/// learned: steps of activations follow their gradient (Esser et al. 2020). fixed: they stay as the
/// first samples showed them.
enum class StepKind { learned, fixed };

struct Quantisation {
  std::string format;  // a name that numeric::parse_format takes: "w1a1"
  StepKind steps = StepKind::learned;
  bool operator==(const Quantisation&) const = default;
};

const char* to_string(StepKind kind);
/// Throws UsageError for an unknown name.
StepKind parse_step_kind(const std::string& name);

/// "w1a1, learned steps".
std::string describe(const Quantisation& quantisation);

}  // namespace dovetail
