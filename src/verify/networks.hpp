// Networks with random weights, of shapes that make the kernels give many outputs an image.
#pragma once

#include <cstdint>
#include <vector>

#include "quant/network.hpp"

namespace dovetail::verify {

/// What goes into a network and comes out. mean, deviation: per channel, of x / 255.
struct InputShape {
  int channels = 1, height = 28, width = 28, classes = 10;
  std::vector<float> mean, deviation;

  std::size_t image_bytes() const {
    return static_cast<std::size_t>(channels) * static_cast<std::size_t>(height * width);
  }
};

enum class Purpose { inference, training };

/// Convolutions and pools: kernels of 1, 3 and 5, strides of 1 and 2, paddings, channels that fill
/// no vector. For inference also pools that overlap, and batch norms of either sign; the training
/// kernels take neither. The same seed gives the same network.
quant::Network maps_network(const InputShape& input, Purpose purpose, std::uint64_t seed);
/// Dense layers.
quant::Network vectors_network(const InputShape& input, Purpose purpose, std::uint64_t seed);
/// One dense layer: little but the quantisation of the input.
quant::Network linear_network(const InputShape& input, Purpose purpose, std::uint64_t seed);

}  // namespace dovetail::verify
