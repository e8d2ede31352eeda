// The statistics of a feature map, tile by tile, as the kernel that stores the map leaves them.
#pragma once

#include <cstdint>

#include "device/opencl/device.hpp"

namespace dovetail {

/// Mean and sum of squared deviations per channel of each tile: [tiles, channel_stride] each, with
/// zeros for padding lanes. A tile is `pixels` pixels of the batch that follow one another, borders
/// left out; the last one may have fewer.
struct TileStatistics {
  opencl::Buffer means, deviations;
  std::int32_t pixels = 0;
};

}  // namespace dovetail
