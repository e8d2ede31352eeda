// What one kernel gave for some images, in the layout that engines and their twins share, so that
// they can be compared.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace dovetail::infer {

struct LayerOutput {
  std::string kernel;  // "conv2d", "train_forward" …
  std::string layer;   // its name in the network, and which of the kernel's outputs: "conv1 routes"
  bool real = false;   // the values are the bits of float32
  // [images, channels, height, width] of values, not codes, without any padding; of weight
  // gradients [out, in, rows, columns].
  std::vector<std::int32_t> values;
};

/// Takes the outputs one after the other as they are computed.
using LayerObserver = std::function<void(LayerOutput)>;

}  // namespace dovetail::infer
