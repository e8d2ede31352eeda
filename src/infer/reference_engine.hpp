// The engine's twin: a whole weight pack run by the reference operations, without a card.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "infer/layer_output.hpp"
#include "quant/packed_network.hpp"

namespace dovetail::infer {

/// Logits [count, classes] of `count` images [count, channels, height, width] of uint8; equal bit
/// for bit to what Engine::run gives. For tests: plain loops, slow.
std::vector<float> run_reference(const quant::PackedNetwork& network,
                                 std::span<const std::uint8_t> images, std::size_t count);

/// The quantised input and every layer's output, the last one's raw accumulators.
std::vector<LayerOutput> reference_outputs(const quant::PackedNetwork& network,
                                           std::span<const std::uint8_t> images, std::size_t count);

}  // namespace dovetail::infer
