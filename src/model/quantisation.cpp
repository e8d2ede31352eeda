// Names of the settings of quantisation-aware training.
#include "model/quantisation.hpp"

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

const char* to_string(StepKind kind) {
  return kind == StepKind::learned ? "learned" : "fixed";
}

StepKind parse_step_kind(const std::string& name) {
  for (const StepKind kind : {StepKind::learned, StepKind::fixed}) {
    if (name == to_string(kind)) return kind;
  }
  throw UsageError(fmt::format("unknown quantisation steps '{}'", name), "Known: learned, fixed");
}

std::string describe(const Quantisation& quantisation) {
  return fmt::format("{}, {} steps", quantisation.format, to_string(quantisation.steps));
}

}  // namespace dovetail
