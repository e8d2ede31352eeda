// Weights of one output channel as integer codes of a format, with one real scale.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "numeric/format.hpp"

namespace dovetail::quant {

struct WeightCodes {
  double scale = 1;  // real value of one step
  std::vector<std::int8_t> codes;
};

/// The scale that serves these weights best, by the format: 8 bits: the largest becomes 127;
/// binary: mean |w|, which is exact (Rastegari et al. 2016, arXiv 1603.05279, section 3.1);
/// ternary, 2 and 4 bits: least mean squared error, found by alternating between codes and scale
/// from several starts (Lloyd 1982). 1 for weights that are all zero.
double choose_scale(std::span<const float> weights, const numeric::ElementFormat& format);

/// w / scale rounded to nearest, ties away from zero, clamped to the format's codes; binary: −1
/// below zero, else +1.
WeightCodes weight_codes(std::span<const float> weights, const numeric::ElementFormat& format,
                         double scale);

}  // namespace dovetail::quant
