// Sorts the formats into families of kernels and chooses steps.
#include "quant/training_format.hpp"

#include <algorithm>
#include <cmath>

#include "numeric/format.hpp"
#include "numeric/quantise_real.hpp"
#include "quant/range_error.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::quant {
namespace {

constexpr float smallest_step = 0x1p-63F;  // its reciprocal, and products of two, are normal

}  // namespace

float TrainingFormat::step(float largest) const {
  if (!std::isfinite(largest)) {
    throw RangeError(
        fmt::format("a tensor's largest value is {}, which {} cannot express", largest, name));
  }
  if (blocks || largest == 0) return 1;
  const float exact = largest / static_cast<float>(numeric::largest_code(bits));
  if (!power_of_two) return std::max(exact, smallest_step);
  int exponent = 0;
  const float fraction = std::frexp(exact, &exponent);  // in [1/2, 1)
  return std::max(std::ldexp(1.0F, fraction == 0.5F ? exponent - 1 : exponent), smallest_step);
}

std::optional<TrainingFormat> find_training_format(const std::string& name) {
  const std::optional<numeric::Format> format = numeric::find_format(name);
  if (!format) return std::nullopt;
  const numeric::ElementFormat element = format->weights;
  const bool blocks = element.kind == numeric::ElementKind::block_float;
  const bool fixed = element.kind == numeric::ElementKind::fixed && !element.integer_bits;
  const bool integer = element.kind == numeric::ElementKind::integer && name.starts_with("int");
  if (element.bits < 2 || element.bits > (blocks ? 8 : 16) || !(blocks || fixed || integer))
    return std::nullopt;
  const std::string family = blocks ? "bfp" : element.bits <= 8 ? "int8" : "fixed16";
  return TrainingFormat{.name = name,
                        .family = family,
                        .bits = element.bits,
                        .blocks = blocks,
                        .power_of_two = fixed};
}

TrainingFormat training_format(const std::string& name) {
  const std::optional<TrainingFormat> format = find_training_format(name);
  if (format) return *format;
  throw UsageError(fmt::format("gradients cannot be computed in {}", name),
                   "Known: int2 to int16, fixed2 to fixed16, bfp2 to bfp8");
}

std::string remedy_for_divergence(const std::string& format, std::uint64_t staleness) {
  std::string remedy = staleness > 0 ? "Give --boost-staleness 0, or lower" : "Lower";
  remedy += " --boost or --lr";
  const std::optional<TrainingFormat> known = find_training_format(format);
  const bool has_wider = known && known->bits < (known->blocks ? 8 : 16);
  if (has_wider) remedy += fmt::format(", or give a --boost-format of more bits than {}", format);
  return remedy;
}

}  // namespace dovetail::quant
