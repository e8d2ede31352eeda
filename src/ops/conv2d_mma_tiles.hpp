// How Conv2dMma cuts a convolution: tiles, their operands in shared memory, and what the kernels
// need to know of both.
#pragma once

#include <optional>
#include <vector>

#include "ops/conv2d_pool.hpp"
#include "ops/conv2d_tiles.hpp"
#include "tensor/layout.hpp"

namespace dovetail::conv_mma {

using conv_tiles::convolution;
using conv_tiles::Definitions;
using conv_tiles::depth;

inline constexpr int most_shared = 200 << 10;    // bytes of a work-group, of the 227 KiB on Hopper
inline constexpr int shared_of_two = 224 << 10;  // of two work-groups on one multiprocessor
inline constexpr int most_narrow_depth = 64;     // products of a result, whose weights stay at hand

/// Channels that are not padded: the first layer's.
inline bool is_narrow(const Layout& map) {
  return map.channel_stride % channel_lanes != 0;
}

/// A feature map as a row of pixels, borders included, and the windows over it. For image n and the
/// window at (row, column): the first pixel is first + n · image + (row · line + column) · stride.
struct Source {
  int line = 0, image = 0, first = 0, stride = 1, kernel = 1;
  int corner(int pixel, int height, int width) const;
  /// From a window's first pixel to its last, both counted.
  int reach() const { return (kernel - 1) * (line + 1) + 1; }
  /// Pixels that the windows of `count` consecutive output pixels touch at most; blocks of
  /// pool × pixels in pool rows and columns each count as one where a pool follows.
  int longest_run(int count, int height, int width, int pool) const;
};

/// Warps of a work-group: warp_rows × warp_columns, each of 64 rows and 8 · column_tiles columns.
/// Or by warpgroup (wgmma): four warps of the rows have `patches` patches of 8 × 8 pixels.
struct Cut {
  int warp_rows = 1, warp_columns = 1, column_tiles = 4;
  int patches = 0;  // 0: by warp
  bool by_warpgroup() const { return patches > 0; }
  int rows() const { return (by_warpgroup() ? 16 * patches : 64) * warp_rows; }
  int columns() const { return 8 * column_tiles * warp_columns; }
  int threads() const { return 32 * warp_rows * warp_columns; }
  friend bool operator==(const Cut&, const Cut&) = default;
};

/// What a work-group of the weight gradient has: channels of x (0: all, of few), 32 channels of dy
/// for each column of warps, and how many work-groups a compute unit is given.
/// By warpgroup (wgmma) it has 64 of dy, and each warpgroup a row of the kernel.
struct GradientCut {
  int block = 0, warp_columns = 1, groups_per_unit = 2;
  bool by_warpgroup = false;
  bool halves = false;  // by warpgroup: of 16-bit operands
  friend bool operator==(const GradientCut&, const GradientCut&) = default;
};

/// A kernel that computes tiles of units × channels, a unit being a pixel or the window of a pool.
struct ProductTiles {
  Source source;
  Layout target;        // whose pixels are the units
  int source_channels;  // with padding
  int pool = 1;         // behind the convolution
  bool narrow = false;
  bool turned = false;      // input gradient
  bool statistics = false;  // of the result, or of the gradient, come with it
  int pooled_width = 0;     // of the gradient, where its source is that of a max-pool's output
  Cut cut{};
  int run = 0;  // pixels of the source that a tile touches at most

  void take(const Cut& wanted);
  /// Cuts to try for the target's batch, the one to take unmeasured first, then its neighbours in
  /// size that fit. None changes a bit of a result.
  std::vector<Cut> cuts() const;
  /// Those by warpgroup, for devices with InstructionSet::wgmma: in another order, which is that of
  /// all of them. Whether there are any does not depend on the batch.
  std::vector<Cut> warpgroup_cuts() const;
  int tile_units() const { return cut.rows() / (pool * pool); }
  int tile_columns() const { return cut.columns(); }
  int threads() const { return cut.threads(); }
  int units_per_image() const { return target.height * target.width; }
  int column_tiles() const { return quotient_up(target.channel_stride, tile_columns()); }
  /// Room for the packed weights.
  std::size_t packed_floats() const {
    const int targets =
        cut.by_warpgroup() ? column_tiles() * tile_columns() : target.channel_stride;
    return extent(source.kernel * source.kernel) * extent(targets * source_channels);
  }
  bool unpools() const { return pooled_width > 0; }
  /// In the rows of windows of that pool that a tile's run touches.
  int most_windows() const;
  int shared_bytes() const;
  /// Of which statistics take the place of the operands.
  int operand_bytes() const;
  /// By warpgroup: how many steps' weights have a place.
  int weight_stages() const;
  int warpgroup_bytes(int stages) const;
  Definitions definitions(const Conv2dPoolShape& shape, ComputeFormat format) const;
};
/// `cut`: none for the first of cuts().
ProductTiles wide_forward(const Conv2dPoolShape& shape, const std::optional<Cut>& cut = {});
ProductTiles narrow_forward(const Conv2dPoolShape& shape, const std::optional<Cut>& cut = {});
ProductTiles turned(const Conv2dPoolShape& shape, const std::optional<Cut>& cut = {});

/// Of the kernel that packs the weights, for products that are cut so.
Definitions pack_definitions(const Conv2dPoolShape& shape, ComputeFormat format, const Cut& forward,
                             const Cut& input_gradient);

/// A weight gradient's kernel.
struct WeightTiles {
  Source source;
  Layout x;
  Layout y;      // in front of the pool: the pixels to visit
  int pool = 1;  // whose windows a tile does not cut
  bool narrow = false;
  bool normalised = false;     // x, as it is read
  bool norm_gradient = false;  // dy, as it is read
  GradientCut cut{};
  int tile = 64;  // pixels
  int run = 0;

  int threads() const {
    if (narrow) return 128;
    return 32 * source.kernel * (cut.by_warpgroup ? 4 : cut.warp_columns);
  }
  int groups() const;
  int pixels_per_image() const { return y.height * y.width; }
  int shared_bytes() const;
  Definitions definitions(const Conv2dPoolShape& shape, ComputeFormat format) const;
};
/// `cut`: none for the first of gradient_cuts.
WeightTiles wide_weight(const Conv2dPoolShape& shape, const std::optional<GradientCut>& cut = {});
WeightTiles narrow_weight(const Conv2dPoolShape& shape, const std::optional<GradientCut>& cut = {});
/// Cuts to try, the one to take unmeasured first. They add up in orders of their own.
std::vector<GradientCut> gradient_cuts(const Conv2dPoolShape& shape);
/// Those by warpgroup, for devices with InstructionSet::wgmma.
std::vector<GradientCut> warpgroup_gradient_cuts(const Conv2dPoolShape& shape,
                                                 ComputeFormat format);

}  // namespace dovetail::conv_mma
