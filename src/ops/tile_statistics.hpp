// What a batch norm sums up, tile by tile, as the kernel leaves it that stores the feature map.
#pragma once

#include <cstdint>

#include "device/opencl/device.hpp"

namespace dovetail {

// A tile is `pixels` pixels of the batch that follow one another, borders left out; the last one
// may have fewer. The buffers are [tiles, channel_stride] each, with zeros for padding lanes.

/// Mean and sum of squared deviations of a map.
struct TileStatistics {
  opencl::Buffer means, deviations;
  std::int32_t pixels = 0;
};

/// Of the gradient dy of a batch norm's output: the sums of dy and of dy · (x − mean).
struct TileGradients {
  opencl::Buffer sums, products;
  std::int32_t pixels = 0;
};

}  // namespace dovetail
