// The kernels of hls/training that inference launches, as circuits.
#include "cost/memories.hpp"
#include "cost/training_launch.hpp"

namespace dovetail::cost {
namespace {

// Float32 cores of the size that Vitis HLS reports for UltraScale parts. Guesses: no circuit of
// ours was counted.
constexpr Resources float_add{.lut = 390, .dsp = 2}, float_multiply{.lut = 320, .dsp = 3},
    convert{.lut = 550}, float_compare{.lut = 240};
// Three DSPs hold the low half of a product of 32 bits; numeric/rounding.hpp has five of them.
constexpr Resources random_bits{.lut = 200, .dsp = 15};

Resources times(std::int64_t count, const Resources& one) {
  return {count * one.lut, count * one.dsp, count * one.bram18, count * one.uram};
}

/// numeric/quantise_real.hpp and the multiplication before it.
Resources quantiser() {
  return times(2, float_multiply) + float_add + times(4, convert) + float_compare;
}

Resources forward_unit(const Card& card, const TrainingFamily& family, Folding f) {
  const Operands o{.multiplier = family.element_bits <= 8 ? Multiplier::dsp_pair : Multiplier::dsp,
                   .weight_bits = family.element_bits,
                   .input_bits = family.element_bits};
  Resources used = resources_of(card, forward_memories(family, f));
  used +=
      {.lut = window_control_luts + product_luts(o, f, family.sum_bits), .dsp = product_dsps(o, f)};
  // Blocks are scaled and added as float32 …
  if (family.exponent_bits > 0) used += times(f.pe, convert + float_multiply + float_add);
  // … and a tile's sums are scaled, take their bias and meet the maxima: of the window, of zero, of
  // the launch.
  return used + times(f.pe, convert + float_multiply + float_add + times(3, float_compare));
}

}  // namespace

void add_training_units(const Question& question, Folding f, std::vector<LayerCost>& layers) {
  const Card& card = *question.card;
  const TrainingFamily family = training_family(question.format);
  layers[0].used =
      resources_of(card, quantise_images_memories(family, f)) + times(f.simd, quantiser());
  layers[1].used = times(question.units, forward_unit(card, family, f));
  for (LayerCost& layer : layers) {
    if (layer.kind != "quantise") continue;
    layer.used =
        resources_of(card, quantise_memories(family, f)) + times(f.simd, quantiser() + random_bits);
    layer.used.lut += window_control_luts;
    break;
  }
}

}  // namespace dovetail::cost
