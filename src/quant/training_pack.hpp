// Weights on their way to an engine that differentiates: in the boost's number format, one real
// scale a tensor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quant/network.hpp"
#include "quant/weight_pack.hpp"

namespace dovetail::quant {

/// Quantises a network's weights to nearest in `format` (int4 … int8, fixed8, fixed16, bfp4 …
/// bfp8); biases and input statistics travel as float32. Weights take the format's bits on the
/// wire. Ranges of calibration are not used. Throws UsageError for a format that the training
/// engine does not know, Error for weights that are not finite.
WeightPack pack_training(const Network& network, const std::string& format, std::uint64_t version);

}  // namespace dovetail::quant
