// Whether a model fits the kernels' memories.
#pragma once

#include "cost/estimate.hpp"

namespace dovetail::cost {

/// Throws UsageError that names the layer, for one that the kernels as built do not take.
void check_sizes(const Question& question);

/// That of the kernels' sources as they stand.
Folding built_folding(const numeric::Format& format);

/// Whether the weights of each layer, padded to whole words of the folding, fit the memory that
/// keeps them.
bool keeps_weights(const Question& question, Folding folding);

}  // namespace dovetail::cost
