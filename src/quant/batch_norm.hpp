// Batch norms that stand behind a layer, taken into its weights.
#pragma once

#include "quant/network.hpp"

namespace dovetail::quant {

/// The layer with its batch norm folded into weights and bias, in float32 (Jacob et al. 2018, arXiv
/// 1712.05877, section 3.2). A layer without one comes back as it is.
Layer folded(Layer layer);

}  // namespace dovetail::quant
