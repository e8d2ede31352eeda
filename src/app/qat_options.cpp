// Reads --qat and --qat-scale.
#include "app/qat_options.hpp"

#include "app/expect.hpp"
#include "numeric/quantisation_law.hpp"
#include "support/text.hpp"

namespace dovetail::app {

void QatOptions::add_to(CommandLine& line) {
  line.add("qat", format_,
           "train aware of this quantisation: wXaY with X = 1, t, 2, 4, 8 and Y = 1, 2, 4, 8; or "
           "none");
  line.add("qat-scale", scale_, "steps of quantised activations: learned or fixed");
}

std::optional<Quantisation> QatOptions::parsed() const {
  const StepKind steps = parse_step_kind(scale_);
  if (format_ == "none") {
    expect(scale_ == QatOptions{}.scale_,
           fmt::format("--qat-scale {} has no effect without --qat", scale_),
           "Leave it out, or give --qat wXaY");
    return std::nullopt;
  }
  const numeric::Format format = numeric::parse_format(format_);
  weight_law(format.weights);
  activation_law(format.activations);
  return Quantisation{.format = format_, .steps = steps};
}

}  // namespace dovetail::app
