// The engine's twin: a whole weight pack run by the reference operations, without a card.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/packed_network.hpp"

namespace dovetail::infer {

/// Logits [count, classes] of `count` images [count, channels, height, width] of uint8; equal bit
/// for bit to what Engine::run gives. For tests: plain loops, slow.
std::vector<float> run_reference(const quant::PackedNetwork& network,
                                 std::span<const std::uint8_t> images, std::size_t count);

}  // namespace dovetail::infer
