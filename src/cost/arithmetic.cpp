// Formats as operands of the matrix-vector unit.
#include "cost/arithmetic.hpp"

#include <cmath>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::cost {
namespace {

using numeric::ElementKind;

constexpr int network_input_bits = 8;
constexpr int widest_dsp_operand = 18;  // the narrower port of a DSP48E2 (UG579)

bool is_integer(ElementKind kind) {
  return kind == ElementKind::integer || kind == ElementKind::ternary ||
         kind == ElementKind::binary;
}

Multiplier multiplier_of(int weight_bits, int input_bits) {
  if (weight_bits == 1) return input_bits == 1 ? Multiplier::xnor : Multiplier::add_or_subtract;
  if (weight_bits <= 4) return Multiplier::lut;
  if (weight_bits <= 8 && input_bits <= 8) return Multiplier::dsp_pair;
  return Multiplier::dsp;
}

}  // namespace

bool has_units(const numeric::Format& format) {
  const auto [w, a] = std::pair{format.weights.kind, format.activations.kind};
  const bool same = w == a && (w == ElementKind::fixed || w == ElementKind::block_float);
  return ((is_integer(w) && is_integer(a)) || same) && format.weights.bits <= widest_dsp_operand &&
         format.activations.bits <= widest_dsp_operand;
}

Operands operands(const numeric::Format& format, const LayerWork& layer) {
  if (!has_units(format)) {
    throw UsageError(fmt::format("the FPGA has no units for {}", format.name),
                     "Estimate wXaY (X in 1, t, 2, 4, 8; Y in 1, 2, 4, 8), int2 to int16, fixed2 "
                     "to fixed18 or bfp2 "
                     "to bfp16");
  }
  const bool low_bit = is_integer(format.weights.kind);
  Operands found;
  found.weight_bits = format.weights.kind == ElementKind::ternary ? 2 : format.weights.bits;
  found.input_bits = layer.first && low_bit ? std::max(network_input_bits, format.activations.bits)
                                            : format.activations.bits;
  found.multiplier = multiplier_of(found.weight_bits, found.input_bits);
  found.output_bits = layer.last ? 0 : format.activations.bits;
  found.thresholds = low_bit && found.output_bits > 0 && found.output_bits <= 4;
  found.block_exponent = format.weights.kind == ElementKind::block_float;
  return found;
}

int accumulator_bits(const Operands& operands, int columns) {
  const double alpha = std::log2(columns) + operands.weight_bits + operands.input_bits - 1;
  return static_cast<int>(std::ceil(alpha + std::log2(1 + std::exp2(-alpha)) + 1));
}

}  // namespace dovetail::cost
