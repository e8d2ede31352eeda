// Scales every output channel's weights by its gain.
#include "quant/batch_norm.hpp"

#include <cmath>

namespace dovetail::quant {

Layer folded(Layer layer) {
  if (layer.gain.empty()) return layer;
  const auto outputs = static_cast<std::size_t>(layer.out_channels);
  const std::size_t columns = layer.weight.size() / outputs;
  for (std::size_t o = 0; o < outputs; ++o) {
    for (std::size_t i = 0; i < columns; ++i) layer.weight[o * columns + i] *= layer.gain[o];
    layer.bias[o] = layer.bias[o] * layer.gain[o] + layer.offset[o];
    if (!layer.weight_scale.empty()) layer.weight_scale[o] *= std::abs(layer.gain[o]);
  }
  layer.gain.clear();
  layer.offset.clear();
  return layer;
}

}  // namespace dovetail::quant
