// What one product of a layer is made of, in hardware.
#pragma once

#include "cost/work.hpp"
#include "numeric/format.hpp"

namespace dovetail::cost {

enum class Multiplier {
  xnor,             // {−1, +1} × {−1, +1}: XNOR and popcount
  add_or_subtract,  // {−1, +1} × integer
  lut,              // small integers, in LUTs
  dsp_pair,         // two products of up to 8 bits in one DSP48E2 (Xilinx WP486)
  dsp,              // one product of up to 18 bits in one DSP48E2
  bit_serial,       // a bit plane of each a pass, by XNOR and popcount (hls/bit_serial.hpp)
};

struct Operands {
  Multiplier multiplier = Multiplier::lut;
  int weight_bits = 0;
  int input_bits = 0;
  int output_bits = 0;          // 0: raw accumulators leave the layer
  bool thresholds = false;      // output by thresholds, else by requantisation
  bool block_exponent = false;  // block floating point: blocks are aligned before they are added

  bool operator==(const Operands&) const = default;
};

/// Whether units could be made for the format: integers, fixed point and block floating point of up
/// to 18 bits.
bool has_units(const numeric::Format& format);

/// The operands of a convolution or dense layer, or the bits that a pool moves. The network's input
/// is int8 in the low-bit formats. Throws UsageError for a format without units.
Operands operands(const numeric::Format& format, const LayerWork& layer);

/// Accumulator bits that no sum of `columns` products overflows (Colbert et al., 2023, arXiv
/// 2301.13376, data-type bound).
int accumulator_bits(const Operands& operands, int columns);

}  // namespace dovetail::cost
