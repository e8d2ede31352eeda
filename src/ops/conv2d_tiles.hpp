// How a convolution is cut into tiles: by an estimate of their time, or as a candidate asks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "ops/conv2d.hpp"
#include "ops/conv2d_pool.hpp"
#include "tensor/layout.hpp"

namespace dovetail::conv_tiles {

using Definitions = std::vector<std::string>;

/// Products of one result.
inline int depth(const Conv2dShape& shape) {
  return shape.kernel * shape.kernel * shape.input.channels;
}
inline int depth(const Conv2dPoolShape& shape) {
  return shape.kernel * shape.kernel * shape.input.channels;
}

/// Throws Error where the shape breaks what Conv2dShape says.
void validate(const Conv2dShape& shape);
/// The convolution alone, with the output in front of the pool, in the pooled map's halo.
Conv2dShape convolution(const Conv2dPoolShape& shape);
/// Throws Error where the convolution or the pool behind it does not make the output.
void validate(const Conv2dPoolShape& shape);
/// The geometry of its feature maps, as the kernels read it.
Definitions geometry(const Conv2dShape& shape);

/// The convolution that computes the input gradient of a stride-1 convolution from dy.
Conv2dShape turned(const Conv2dShape& shape);
/// Whether the input gradient is that convolution on CPUs.
bool turns(const Conv2dShape& shape);

/// CPU: what a work-item keeps in its vector registers, and the images that it goes through.
struct CpuTile {
  int vectors, rows, columns, images;
};
/// Tiles of output pixels that a work-item can hold, by their estimated time, edges included; of
/// equal ones the smaller first.
std::vector<ConvKernels::Tile> ranked_tiles(const Conv2dShape& shape);
/// `wanted`: rows and columns, or 0 × 0 for those with the least estimated time. Throws Error for
/// one that does not fit.
CpuTile cpu_tile(const Conv2dShape& shape, const ConvKernels::Tile& wanted);
/// The part of a window whose weight gradient one tile holds: PATCH floats of each of PATCH_RUNS
/// stretches.
Definitions weight_tile(const Conv2dShape& shape, int vectors);

/// Work-groups of the weight gradient, which cut a pass into chunks. They depend on nothing of the
/// device: the order of the sums is part of the result. `step_passes`: of a step on all ranks.
inline int cpu_gradient_groups(int step_passes) {
  constexpr int groups = 16;
  return std::max(1, groups / std::max(1, step_passes / 2));
}

/// GPU: what a work-group computes, and of that a work-item.
struct GpuTile {
  int m, n;           // a pixel or weight row each × channels of the result
  int rows, columns;  // of a work-item
  int threads() const { return m * n / (rows * columns); }
  /// PRODUCT_M and so on.
  Definitions definitions(const std::string& product) const;
};
/// @param rows    extent along m.
/// @param stride  channels of the result with their padding.
GpuTile choose_tile(long rows, int stride);
/// The tile of choose_tile, or the one that is asked for. Throws Error for one that does not fit.
GpuTile gpu_tile(long rows, int stride, const ConvKernels::Tile& wanted);
/// Of the weight gradient: `rows` (tap, channel) of the weight.
GpuTile gpu_weight_tile(int rows, int stride);

inline constexpr int usual_groups = 512;  // of the weight gradient

}  // namespace dovetail::conv_tiles
