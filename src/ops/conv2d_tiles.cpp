// Estimates tiles, and lists the candidates for measurement.
#include "ops/conv2d_tiles.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "ops/conv2d_gpu.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace conv_tiles {

void validate(const Conv2dShape& shape) {
  const auto extent = [&](int input) {
    return (input + 2 * shape.padding - shape.kernel) / shape.stride + 1;
  };
  const auto refuse = [](const std::string& problem) { throw Error("convolution: " + problem); };
  if (shape.kernel < 1 || shape.stride < 1 || shape.padding < 0) {
    refuse(
        fmt::format("kernel {}, stride {}, padding {}", shape.kernel, shape.stride, shape.padding));
  }
  if (shape.input.height + 2 * shape.padding < shape.kernel ||
      shape.input.width + 2 * shape.padding < shape.kernel) {
    refuse(fmt::format("a kernel of {} is larger than the input", shape.kernel));
  }
  if (shape.output.height != extent(shape.input.height) ||
      shape.output.width != extent(shape.input.width)) {
    refuse(fmt::format("the output should be {} × {}, not {} × {}", extent(shape.input.height),
                       extent(shape.input.width), shape.output.height, shape.output.width));
  }
  if (shape.input.halo < shape.padding) {
    refuse(fmt::format("padding {} exceeds the input's halo {}", shape.padding, shape.input.halo));
  }
  if (shape.output.channel_stride % channel_lanes != 0)
    refuse("the output's channels are not padded");
  const std::int64_t window = std::int64_t{shape.kernel} * shape.kernel;  // no larger than an image
  const std::int64_t maps = std::int64_t{shape.input.channels} * shape.output.channel_stride;
  if (window > most_elements / std::max(maps, std::int64_t{1})) {
    refuse(fmt::format("a weight of {} x {} windows of {} x {} has 2^31 elements or more",
                       shape.input.channels, shape.output.channel_stride, shape.kernel,
                       shape.kernel));
  }
}

Conv2dShape convolution(const Conv2dPoolShape& shape) {
  const auto extent = [&](int input) {
    return (input + 2 * shape.padding - shape.kernel) / shape.stride + 1;
  };
  Layout output = shape.output;
  output.height = extent(shape.input.height);
  output.width = extent(shape.input.width);
  return {shape.input, output, shape.kernel, shape.stride, shape.padding};
}

void validate(const Conv2dPoolShape& shape) {
  const Conv2dShape conv = convolution(shape);
  validate(conv);
  if (shape.pool < 1 || shape.output.height != conv.output.height / shape.pool ||
      shape.output.width != conv.output.width / shape.pool) {
    throw Error(fmt::format("convolution: a pool of {0}x{0} makes no {1}x{2} of {3}x{4}",
                            shape.pool, shape.output.height, shape.output.width, conv.output.height,
                            conv.output.width));
  }
}

Definitions geometry(const Conv2dShape& shape) {
  const auto interior = [](const Layout& map, int halo) {
    return halo * (map.row_stride() + map.channel_stride);
  };
  Definitions all = {
      fmt::format("KERNEL={}", shape.kernel), fmt::format("STRIDE={}", shape.stride),
      fmt::format("PADDING={}", shape.padding),
      fmt::format("X_ORIGIN={}", interior(shape.input, shape.input.halo - shape.padding))};
  const std::array<std::pair<char, const Layout*>, 2> maps = {
      {{'X', &shape.input}, {'Y', &shape.output}}};
  for (const auto& [letter, map] : maps) {
    all.push_back(fmt::format("{}_PIXEL={}", letter, map->channel_stride));
    all.push_back(fmt::format("{}_ROW={}", letter, map->row_stride()));
    all.push_back(fmt::format("{}_IMAGE={}", letter, map->image_stride()));
    all.push_back(fmt::format("{}_HEIGHT={}", letter, map->height));
    all.push_back(fmt::format("{}_WIDTH={}", letter, map->width));
    all.push_back(fmt::format("{}_CHANNELS={}", letter, map->channels));
    all.push_back(fmt::format("{}_INTERIOR={}", letter, interior(*map, map->halo)));
  }
  return all;
}

namespace {

// ---- CPU: what one work-item keeps in its 32 vector registers ----

constexpr int most_sums = 28;  // accumulators; the other registers hold the operands

/// Time of one step of an inner loop that multiplies `scalars` by `vectors`, in half cycles: two
/// products or two loads a cycle, and at least eight products in flight to hide their latency.
int step_cost(int scalars, int vectors) {
  return std::max({scalars * vectors, scalars + vectors, 8});
}

int vectors_of(const Layout& map) {
  return map.channel_stride / channel_lanes % 2 == 0 ? 2 : 1;
}

}  // namespace

std::vector<ConvKernels::Tile> ranked_tiles(const Conv2dShape& shape) {
  constexpr int tile_overhead = 30;  // half cycles for its loops and addresses
  const Layout& y = shape.output;
  const int vectors = vectors_of(y);
  struct Ranked {
    long cost;
    ConvKernels::Tile tile;
  };
  std::vector<Ranked> ranked;
  for (int rows = 1; rows <= std::min(y.height, most_sums); ++rows) {
    for (int columns = 1; columns <= y.width && rows * columns * vectors <= most_sums; ++columns) {
      const long tiles = quotient_up(y.height, rows) * quotient_up(y.width, columns);
      ranked.push_back({tiles * (depth(shape) * step_cost(rows * columns, vectors) + tile_overhead),
                        {rows, columns}});
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Ranked& a, const Ranked& b) { return a.cost < b.cost; });
  std::vector<ConvKernels::Tile> tiles;
  for (const Ranked& each : ranked) tiles.push_back(each.tile);
  return tiles;
}

Conv2dShape turned(const Conv2dShape& shape) {
  return {.input = shape.output,
          .output = shape.input,
          .kernel = shape.kernel,
          .stride = 1,
          .padding = shape.kernel - 1 - shape.padding};
}

bool turns(const Conv2dShape& shape) {
  return shape.stride == 1 && shape.input.channel_stride % channel_lanes == 0 &&
         shape.output.halo >= shape.gradient_halo();
}

CpuTile cpu_tile(const Conv2dShape& shape, const ConvKernels::Tile& wanted) {
  constexpr double worth_a_work_item =
      4e6;  // operations, so that the launch of a work-item does not count
  const Layout& y = shape.output;
  const ConvKernels::Tile tile = wanted.rows > 0 ? wanted : ranked_tiles(shape).front();
  const int vectors = vectors_of(y);
  if (tile.rows < 1 || tile.columns < 1 || tile.rows > y.height || tile.columns > y.width ||
      tile.rows * tile.columns * vectors > most_sums) {
    throw Error(fmt::format("convolution: a tile of {}x{} pixels", tile.rows, tile.columns));
  }
  const double per_image = 2.0 * depth(shape) * y.height * y.width * vectors * channel_lanes;
  return {vectors, tile.rows, tile.columns,
          std::clamp(static_cast<int>(worth_a_work_item / per_image), 1, y.batch)};
}

Definitions weight_tile(const Conv2dShape& shape, int vectors) {
  const bool whole_rows = shape.input.channel_stride == shape.input.channels;
  const int run = shape.input.channels * (whole_rows ? shape.kernel : 1);
  const int most = most_sums / vectors;
  const bool whole_window = depth(shape) <= most;
  int patch = run;
  if (!whole_window) {
    patch = 1;
    const auto cost = [&](int size) { return quotient_up(run, size) * step_cost(size, vectors); };
    for (int size = 2; size <= std::min(run, most); ++size) {
      if (cost(size) <= cost(patch)) patch = size;
    }
  }
  constexpr int cached_bytes = 32768;  // of dy, in the first-level cache
  const int row_bytes = shape.output.width * vectors * channel_lanes * 4;
  const int blocks = quotient_up(shape.output.height * row_bytes, cached_bytes);
  return {fmt::format("PATCH={}", patch),
          fmt::format("PATCH_RUNS={}", whole_window ? depth(shape) / run : 1),
          fmt::format("GRADIENT_ROWS={}", quotient_up(shape.output.height, blocks))};
}

// ---- GPU: tiles of a work-group ----

namespace {

int columns_of_item(int n) {
  return n >= 32 ? 8 : 4;
}

int tile_columns(int stride) {
  return stride % 64 == 0 ? 64 : stride % 32 == 0 ? 32 : 16;
}

/// Small tiles are for results too few to fill a device: then more work-items share them.
int rows_of_item(int m) {
  return m >= 128 ? 8 : 4;
}

}  // namespace

Definitions GpuTile::definitions(const std::string& product) const {
  return {fmt::format("{}_M={}", product, m), fmt::format("{}_N={}", product, n),
          fmt::format("{}_ROWS={}", product, rows), fmt::format("{}_COLUMNS={}", product, columns)};
}

GpuTile choose_tile(long rows, int stride) {
  constexpr long enough_groups = 128;  // for the multiprocessors of any GPU
  const int n = tile_columns(stride);
  int m = 128;
  while (m > 32 && (rows + m - 1) / m * quotient_up(stride, n) < enough_groups) m /= 2;
  return {m, n, rows_of_item(m), columns_of_item(n)};
}

GpuTile gpu_tile(long rows, int stride, const ConvKernels::Tile& wanted) {
  if (wanted.rows == 0) return choose_tile(rows, stride);
  const GpuTile tile{wanted.rows, wanted.columns, rows_of_item(wanted.rows),
                     columns_of_item(wanted.columns)};
  if (tile.m < 32 || tile.m % 32 != 0 || tile.n < 16 || tile.n % 16 != 0 ||
      round_up(stride, channel_lanes) % tile.n != 0 || tile.threads() < 16 || tile.threads() > 256)
    throw Error(fmt::format("convolution: a tile of {}x{}", tile.m, tile.n));
  return tile;
}

GpuTile gpu_weight_tile(int rows, int stride) {
  const int n = tile_columns(stride);
  constexpr int few_rows = 48;
  if (rows <= few_rows) return {round_up(rows, 16), n, 4, 4};
  constexpr std::array<int, 5> extents{128, 112, 96, 80, 64};
  const int m = *std::ranges::min_element(extents, {}, [&](int each) {
    return quotient_up(rows, each) * each;  // of equal ones the first
  });
  return {m, n, 8, columns_of_item(n)};
}

}  // namespace conv_tiles

using namespace conv_tiles;

std::string ConvKernels::name(Direction direction) const {
  const Tile& tile = direction == Direction::forward ? forward : input_gradient;
  if (direction != Direction::weight_gradient && tile.rows > 0)
    return fmt::format("{}, tile {}x{}", to_string(variant), tile.rows, tile.columns);
  if (direction == Direction::weight_gradient && groups > 0)
    return fmt::format("{}, {} groups", to_string(variant), groups);
  return to_string(variant);
}

namespace {

using Tile = ConvKernels::Tile;

ConvKernels with_tile(Variant variant, Direction direction, const Tile& tile) {
  ConvKernels kernels{.variant = variant};
  (direction == Direction::forward ? kernels.forward : kernels.input_gradient) = tile;
  return kernels;
}

std::vector<ConvKernels> cpu_candidates(const Conv2dShape& shape, Direction direction) {
  constexpr std::size_t most = 2;  // each is a program to compile
  std::vector<ConvKernels> candidates{{.variant = Variant::cpu}};
  if (direction == Direction::weight_gradient) return candidates;
  if (direction == Direction::input_gradient && !turns(shape)) return candidates;
  const auto tiles = ranked_tiles(direction == Direction::forward ? shape : turned(shape));
  for (std::size_t i = 1; i < std::min(most, tiles.size()); ++i)
    candidates.push_back(with_tile(Variant::cpu, direction, tiles[i]));
  return candidates;
}

}  // namespace

std::vector<ConvKernels> conv_gpu_candidates(const Conv2dPoolShape& shape, Direction direction) {
  std::vector<ConvKernels> candidates{{.variant = Variant::gpu}};
  if (direction == Direction::weight_gradient) {
    candidates.push_back({.variant = Variant::gpu, .groups = 2048});
    candidates.push_back({.variant = Variant::gpu, .groups = 128});
    return candidates;
  }
  const Layout result = direction == Direction::forward ? convolution(shape).output : shape.input;
  const GpuTile usual =
      choose_tile(long{result.batch} * result.height * result.width, result.channel_stride);
  const auto add = [&](int m, int n) {
    candidates.push_back(with_tile(Variant::gpu, direction, {m, n}));
  };
  if (usual.m <= 128) add(2 * usual.m, usual.n);
  if (usual.m >= 64) add(usual.m / 2, usual.n);
  if (usual.n >= 32) add(usual.m, usual.n / 2);
  if (result.channel_stride % 128 == 0) add(usual.m, 128);
  return candidates;
}

std::vector<ConvKernels> conv_candidates(const opencl::Device& device, const Conv2dShape& shape,
                                         Direction direction) {
  std::vector<ConvKernels> candidates = cpu_candidates(shape, direction);
  const std::vector<ConvKernels> gpu = conv_gpu_candidates(
      {shape.input, shape.output, shape.kernel, shape.stride, shape.padding, 1}, direction);
  candidates.insert(device.is_cpu() ? candidates.end() : candidates.begin(), gpu.begin(),
                    gpu.end());
  return candidates;
}

}  // namespace dovetail
