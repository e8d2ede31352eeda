// Sizes of the tiles for the tensor cores, and of the memory that they take.
#include "ops/conv2d_mma_tiles.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "support/text.hpp"

namespace dovetail::conv_mma {

namespace {

constexpr int slice = 16;        // channels that come to shared memory at a time
constexpr int stages = 3;        // of the weights
constexpr int padding = 8;       // floats behind a line in shared memory, against bank conflicts
constexpr int window_bytes = 5;  // a pooled gradient and its place

constexpr int patch = 8;  // pixels of a side of a warpgroup's rows

/// For so many channels of the result, the largest first.
std::vector<Cut> all_cuts(int channels) {
  if (channels <= 32) return {{4, 1, 4}, {2, 1, 4}, {1, 1, 4}};
  if (channels <= 64) return {{4, 1, 8}, {2, 2, 4}, {2, 1, 8}, {1, 2, 4}};
  return {{4, 1, 8}, {2, 2, 8}, {2, 2, 4}, {2, 1, 8}, {1, 2, 4}};
}

/// By warpgroup; each is a program to compile.
std::vector<Cut> all_warpgroup_cuts(int channels) {
  if (channels <= 64) return {{8, 1, 8, 2}, {16, 1, 8, 2}, {4, 1, 8, 2}};
  if (channels <= 128) return {{16, 1, 16, 1}, {8, 1, 16, 2}, {8, 1, 8, 2}};
  return {{8, 1, 32, 1}, {16, 1, 16, 1}, {8, 1, 16, 2}};
}

Source source_of(const Layout& map, int border, const Conv2dPoolShape& shape) {
  const int line = map.padded_width();
  return {.line = line,
          .image = map.padded_height() * line,
          .first = (map.halo - border) * (line + 1),
          .stride = shape.stride,
          .kernel = shape.kernel};
}

int interior(const Layout& map) {
  return map.halo * (map.row_stride() + map.channel_stride);
}

/// Pixels of the source that the windows of `count` consecutive patches touch at most.
int patch_run(const Source& source, int count, int height, int width) {
  const int columns = width / patch, per_image = height / patch * columns;
  const auto corner = [&](int index) {
    const int row = index % per_image / columns * patch, column = index % columns * patch;
    return source.corner(index / per_image * height * width + row * width + column, height, width);
  };
  const int inside = (patch - 1) * (source.line + 1);
  const int tiles = std::lcm(count, per_image) / count;  // then it begins anew
  int longest = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    const int start = corner(tile * count), end = corner(tile * count + count - 1);
    longest = std::max(longest, end + inside + source.reach() - start);
  }
  return longest;
}

void add_source(Definitions& all, const Source& source, int run) {
  all.insert(
      all.end(),
      {fmt::format("SOURCE_LINE={}", source.line), fmt::format("SOURCE_IMAGE={}", source.image),
       fmt::format("SOURCE_FIRST={}", source.first), fmt::format("STRIDE={}", source.stride),
       fmt::format("KERNEL={}", source.kernel), fmt::format("RUN={}", run)});
}

/// Where the interior of an input is that is normalised as it is read.
void add_norm(Definitions& all, const Conv2dPoolShape& shape) {
  all.push_back(fmt::format("NORMALISED={:d}", shape.normalised));
  all.insert(all.end(), {fmt::format("INPUT_HALO={}", shape.input.halo),
                         fmt::format("INPUT_HEIGHT={}", shape.input.height),
                         fmt::format("INPUT_WIDTH={}", shape.input.width)});
}

void add_weight(Definitions& all, const Conv2dPoolShape& shape, ComputeFormat format) {
  all.insert(all.end(), {fmt::format("WEIGHT_CHANNELS={}", shape.input.channels),
                         fmt::format("WEIGHT_PIXEL={}", shape.output.channel_stride),
                         fmt::format("FORMAT={}", kernel_number(format))});
}

}  // namespace

int Source::corner(int pixel, int height, int width) const {
  return first + pixel / (height * width) * image +
         (pixel % (height * width) / width * line + pixel % width) * stride;
}

int Source::longest_run(int count, int height, int width, int pool) const {
  Source cells = *this;
  cells.stride = stride * pool;
  const int inside = (pool - 1) * (line + 1) * stride;  // from a cell's first window to its last
  const int tiles = std::lcm(count, height * width) / count;  // then it begins anew
  int longest = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    const int start = cells.corner(tile * count, height, width);
    const int end = cells.corner(tile * count + count - 1, height, width) + inside + reach();
    longest = std::max(longest, end - start);
  }
  return quotient_up(longest, 2) * 2;  // the kernels permute pairs of pixels
}

void ProductTiles::take(const Cut& wanted) {
  cut = wanted;
  run = cut.by_warpgroup()
            ? patch_run(source, cut.rows() / (patch * patch), target.height, target.width)
            : source.longest_run(tile_units(), target.height, target.width, pool);
}

std::vector<Cut> ProductTiles::warpgroup_cuts() const {
  if (narrow || pool > 1 || unpools() || source.stride > 1) return {};
  if (target.height % patch != 0 || target.width % patch != 0) return {};
  std::vector<Cut> wanted;
  ProductTiles tiles = *this;
  for (const Cut& each : all_warpgroup_cuts(target.channel_stride)) {
    tiles.take(each);
    // Statistics are those of pixels that follow one another: of whole rows of patches.
    if (statistics && each.rows() / patch % target.width != 0) continue;
    if (tiles.shared_bytes() <= most_shared) wanted.push_back(each);
  }
  return wanted;
}

std::vector<Cut> ProductTiles::cuts() const {
  // The largest tiles of which there are enough to fill a large GPU, and of which two fit a
  // multiprocessor; if none, the smallest.
  constexpr int enough = 220;
  constexpr std::size_t most = 3;  // each is a program to compile
  const std::vector<Cut> all = all_cuts(target.channel_stride);
  ProductTiles tiles = *this;
  const auto usual = std::find_if(all.begin(), all.end() - 1, [&](const Cut& each) {
    tiles.take(each);
    const int count =
        quotient_up(target.batch * units_per_image(), tiles.tile_units()) * tiles.column_tiles();
    return 2 * tiles.shared_bytes() <= shared_of_two && count >= enough;
  });
  std::vector<Cut> wanted{*usual};
  const auto offer = [&](const Cut& each) {
    tiles.take(each);
    if (wanted.size() < most && tiles.shared_bytes() <= most_shared) wanted.push_back(each);
  };
  const auto place = usual - all.begin(), count = std::ssize(all);
  for (std::ptrdiff_t away = 1; away < count; ++away) {
    if (place + away < count) offer(all[static_cast<std::size_t>(place + away)]);
    if (place >= away) offer(all[static_cast<std::size_t>(place - away)]);
  }
  return wanted;
}

int ProductTiles::shared_bytes() const {
  // Two floats for each column and work-item that holds some of it.
  const int parts = statistics ? 8 * cut.warp_rows * (2 * tile_columns() + 16) * 4 : 0;
  return std::max(operand_bytes(), parts);
}

int ProductTiles::operand_bytes() const {
  if (narrow) {
    const int depth = source.kernel * source.kernel * source_channels;
    return round_up(run * source_channels * 4, 16) +
           round_up(depth, 8) * (tile_columns() + padding) * 4;
  }
  if (cut.by_warpgroup()) {
    return warpgroup_bytes(weight_stages());
  }
  const int runs = unpools() ? 1 : std::min(source_channels / slice, 2);
  return (runs * run + stages * source.kernel * tile_columns()) * slice * 4 +
         most_windows() * slice * window_bytes;
}

int ProductTiles::warpgroup_bytes(int stages_) const {
  // The run twice, be it once as it is and twice in 16 bits; each place is aligned.
  const int runs = 2 * round_up(run * slice * 4, 2048);
  const int barriers = 8 * (2 * stages_ + 2);
  return runs + stages_ * source.kernel * tile_columns() * slice * 4 + round_up(barriers, 16);
}

int ProductTiles::weight_stages() const {
  // As many as two work-groups of a multiprocessor have room for; if not the least, one.
  constexpr int least = 4, most = 6;
  int stages_ = most;
  const int room = 2 * warpgroup_bytes(least) <= shared_of_two ? shared_of_two / 2 : most_shared;
  while (stages_ > least - 1 && warpgroup_bytes(stages_) > room) --stages_;
  return stages_;
}

int ProductTiles::most_windows() const {
  const int lines = (run + source.line - 2) / source.line + 1;
  return (lines / 2 + 1) * pooled_width;
}

Definitions ProductTiles::definitions(const Conv2dPoolShape& shape, ComputeFormat format) const {
  Definitions all;
  add_source(all, source, run);
  add_weight(all, shape, format);
  const Layout& y = shape.output;
  all.insert(
      all.end(),
      {fmt::format("SOURCE_CHANNELS={}", source_channels),
       fmt::format("TARGET_HEIGHT={}", target.height), fmt::format("TARGET_WIDTH={}", target.width),
       fmt::format("TARGET_PIXEL={}", target.channel_stride),
       fmt::format("TARGET_ROW={}", target.row_stride()),
       fmt::format("TARGET_IMAGE={}", target.image_stride()),
       fmt::format("TARGET_INTERIOR={}", interior(target)), fmt::format("POOL={}", pool),
       fmt::format("TURNED={:d}", turned), fmt::format("UNPOOL={:d}", unpools()),
       fmt::format("WARPS_M={}", cut.warp_rows), fmt::format("WARPS_N={}", cut.warp_columns),
       fmt::format("COLUMN_TILES={}", cut.column_tiles), fmt::format("PATCHES={}", cut.patches),
       fmt::format("STAGES={}", weight_stages()), fmt::format("SHARED_BYTES={}", shared_bytes())});
  add_norm(all, shape);
  all.push_back(fmt::format("STATISTICS={:d}", statistics));
  if (unpools()) {
    all.insert(all.end(),
               {fmt::format("WINDOWS={}", most_windows()),
                fmt::format("SOURCE_HALO={}", convolution(shape).gradient_halo()),
                fmt::format("POOLED_HEIGHT={}", y.height), fmt::format("POOLED_WIDTH={}", y.width),
                fmt::format("POOLED_ROW={}", y.row_stride()),
                fmt::format("POOLED_IMAGE={}", y.image_stride()),
                fmt::format("POOLED_INTERIOR={}", interior(y))});
  }
  return all;
}

namespace {

/// As wanted, or as estimated.
void cut_tiles(ProductTiles& tiles, const std::optional<Cut>& wanted) {
  tiles.take(wanted ? *wanted : tiles.cuts().front());
}

ProductTiles forward(const Conv2dPoolShape& shape, bool narrow, const std::optional<Cut>& cut) {
  ProductTiles tiles{.source = source_of(shape.input, shape.padding, shape),
                     .target = shape.output,
                     .source_channels = shape.input.channel_stride,
                     .pool = shape.pool,
                     .narrow = narrow,
                     .statistics = shape.statistics};
  cut_tiles(tiles, cut);
  return tiles;
}

}  // namespace

ProductTiles wide_forward(const Conv2dPoolShape& shape, const std::optional<Cut>& cut) {
  return forward(shape, false, cut);
}

ProductTiles narrow_forward(const Conv2dPoolShape& shape, const std::optional<Cut>& cut) {
  return forward(shape, true, cut);
}

ProductTiles turned(const Conv2dPoolShape& shape, const std::optional<Cut>& cut) {
  Layout dy = convolution(shape).output;
  if (shape.pool > 1) dy.halo = convolution(shape).gradient_halo();
  ProductTiles tiles{.source = source_of(dy, shape.kernel - 1 - shape.padding, shape),
                     .target = shape.input,
                     .source_channels = shape.output.channel_stride,
                     .turned = true,
                     .statistics = shape.gradient_sums,
                     .pooled_width = shape.pool > 1 ? shape.output.width : 0};
  cut_tiles(tiles, cut);
  return tiles;
}

namespace {

/// 0: as they are.
int packed_columns(const Cut& cut) {
  return cut.by_warpgroup() ? cut.columns() : 0;
}

}  // namespace

Definitions pack_definitions(const Conv2dPoolShape& shape, ComputeFormat format, const Cut& forward,
                             const Cut& input_gradient) {
  Definitions all{fmt::format("KERNEL={}", shape.kernel),
                  fmt::format("X_PIXEL={}", shape.input.channel_stride),
                  fmt::format("FORWARD_COLUMNS={}", packed_columns(forward)),
                  fmt::format("TURNED_COLUMNS={}", packed_columns(input_gradient)),
                  fmt::format("SHARED_BYTES={}", 16 * 17 * sizeof(float))};
  add_weight(all, shape, format);
  return all;
}

int WeightTiles::groups() const {
  const int columns = quotient_up(y.channel_stride, 32 * cut.warp_columns);
  return narrow ? columns : columns * (x.channel_stride / cut.block);
}

int WeightTiles::shared_bytes() const {
  const int columns = 32 * cut.warp_columns;
  const int windows = pool > 1 ? tile / (pool * pool) : 0;
  const int operands = tile * (columns + padding) * 4 + tile * 4 + windows * columns * window_bytes;
  const int inside = normalised ? round_up(run, 4) * 4 : 0;
  const int law = normalised ? 3 * cut.block * 4 : 0;
  if (cut.by_warpgroup && cut.halves) {
    // Twice as they come; twice in planes of eight channels, whose ends part their banks.
    const int planes = cut.block / 8 * (round_up(run, 8) * 16 + 16 + tile * 16 + 16);
    return 2 * ((run + tile) * cut.block * 4 + inside + planes) + law;
  }
  if (cut.by_warpgroup) {
    // Three runs; dy as it comes, four pixels × four channels an item; dy turned, in planes.
    constexpr int items = 256, planes = 16, plane_bytes = 64 * 16 + 16;
    return 3 * (run * (cut.block + padding / 2) * 4 + inside) + 2 * items * 64 +
           2 * planes * plane_bytes + law;
  }
  if (!narrow) return 2 * (run * (cut.block + padding) * 4 + operands + inside) + law;
  const int rows = round_up(source.kernel * source.kernel * x.channels, 16);
  const int sums = threads() / 32 * rows * columns * 4;
  const int maps = norm_gradient ? tile * columns * 4 : 0;
  const int gradient_law = norm_gradient ? 4 * columns * 4 : 0;
  return std::max(2 * (round_up(run * x.channels * 4, 16) + operands + maps) + gradient_law, sums);
}

Definitions WeightTiles::definitions(const Conv2dPoolShape& shape, ComputeFormat format) const {
  Definitions all;
  add_source(all, source, run);
  add_weight(all, shape, format);
  const Layout& dy = shape.output;
  all.insert(
      all.end(),
      {fmt::format("GRADIENT_HEIGHT={}", y.height), fmt::format("GRADIENT_WIDTH={}", y.width),
       fmt::format("DY_ROW={}", dy.row_stride()), fmt::format("DY_IMAGE={}", dy.image_stride()),
       fmt::format("DY_INTERIOR={}", interior(dy)), fmt::format("POOL={}", shape.pool),
       fmt::format("NORM_GRADIENT={:d}", norm_gradient),
       fmt::format("WARPS_N={}", cut.warp_columns), fmt::format("TILE={}", tile),
       fmt::format("SHARED_BYTES={}", shared_bytes())});
  if (narrow) {
    all.push_back(fmt::format("WARPS={}", threads() / 32));
  } else {
    add_norm(all, shape);
    all.push_back(fmt::format("SOURCE_CHANNELS={}", x.channel_stride));
    all.push_back(fmt::format("BLOCK={}", cut.block));
  }
  return all;
}

namespace {

/// In front of the pool; beside its windows there is no gradient.
Layout gradient_pixels(const Conv2dPoolShape& shape) {
  Layout y = convolution(shape).output;
  y.height = shape.output.height * shape.pool;
  y.width = shape.output.width * shape.pool;
  return y;
}

/// Pixels of the source that `tile` of those look at, which are whole windows of the pool.
int gradient_run(const Source& source, int tile, const Layout& y, int pool) {
  return source.longest_run(tile / (pool * pool), y.height / pool, y.width / pool, pool);
}

/// Pixels of a tile.
int gradient_tile(const Conv2dPoolShape& shape) {
  // With the convolution's output beside it a pixel takes twice the memory.
  if (is_narrow(shape.input)) return shape.norm_gradient ? 64 : 128;
  constexpr int most = 64, least = 32, step = 8;
  if (shape.pool == 1) return most;
  // Windows in whole rows have most pixels of their source in common.
  const Source source = source_of(shape.input, shape.padding, shape);
  int best = most;
  const Layout y = gradient_pixels(shape);
  const auto run = [&](int tile) { return gradient_run(source, tile, y, shape.pool); };
  for (int tile = most - step; tile >= least; tile -= step) {
    if (run(tile) * best < run(best) * tile) best = tile;
  }
  return best;
}

WeightTiles weight(const Conv2dPoolShape& shape, bool narrow,
                   const std::optional<GradientCut>& cut) {
  WeightTiles tiles{.source = source_of(shape.input, shape.padding, shape),
                    .x = shape.input,
                    .y = gradient_pixels(shape),
                    .pool = shape.pool,
                    .narrow = narrow,
                    .normalised = shape.normalised,
                    .norm_gradient = shape.norm_gradient};
  tiles.cut = cut ? *cut : gradient_cuts(shape).front();
  tiles.tile = gradient_tile(shape);
  tiles.run = gradient_run(tiles.source, tiles.tile, tiles.y, tiles.pool);
  return tiles;
}

}  // namespace

WeightTiles wide_weight(const Conv2dPoolShape& shape, const std::optional<GradientCut>& cut) {
  return weight(shape, false, cut);
}

WeightTiles narrow_weight(const Conv2dPoolShape& shape, const std::optional<GradientCut>& cut) {
  return weight(shape, true, cut);
}

std::vector<GradientCut> gradient_cuts(const Conv2dPoolShape& shape) {
  GradientCut usual;
  if (!is_narrow(shape.input))
    usual.block = shape.kernel <= 3 && shape.input.channel_stride % 32 == 0 ? 32 : 16;
  usual.warp_columns = shape.output.channel_stride > 32 ? 2 : 1;
  // Lines of wide images are long.
  if (usual.block == 32 && wide_weight(shape, usual).shared_bytes() > most_shared) usual.block = 16;
  std::vector<GradientCut> cuts{usual};
  for (const int groups : {4, 1}) {
    cuts.push_back(usual);
    cuts.back().groups_per_unit = groups;
  }
  if (usual.warp_columns > 1) {
    cuts.push_back(usual);
    cuts.back().warp_columns = 1;
    cuts.back().groups_per_unit = 4;  // they are half as large
  }
  return cuts;
}

std::vector<GradientCut> warpgroup_gradient_cuts(const Conv2dPoolShape& shape,
                                                 ComputeFormat format) {
  constexpr int block = 64, group = 8;
  if (is_narrow(shape.input) || shape.pool > 1 || shape.stride > 1 || shape.kernel > 3) return {};
  if (shape.input.channel_stride % block != 0 || gradient_pixels(shape).width % group != 0)
    return {};
  // Its operands leave room for no other on a compute unit.
  const GradientCut cut{.block = block,
                        .warp_columns = 2,
                        .groups_per_unit = 1,
                        .by_warpgroup = true,
                        .halves = format != ComputeFormat::tf32};
  if (wide_weight(shape, cut).shared_bytes() > most_shared) return {};
  return {cut};
}

}  // namespace dovetail::conv_mma
