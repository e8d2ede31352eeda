// Cuts a convolution into tiles for its device and launches the kernels.
#include "ops/conv2d.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

using Definitions = std::vector<std::string>;

int quotient_up(int value, int divisor) {
  return (value + divisor - 1) / divisor;
}

std::size_t size(int value) {
  return static_cast<std::size_t>(value);
}

int depth(const Conv2dShape& shape) {
  return shape.kernel * shape.kernel * shape.input.channels;
}

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
}

/// The convolution that computes the input gradient of a stride-1 convolution from dy.
Conv2dShape turned(const Conv2dShape& shape) {
  return {.input = shape.output,
          .output = shape.input,
          .kernel = shape.kernel,
          .stride = 1,
          .padding = shape.kernel - 1 - shape.padding};
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

struct CpuTile {
  int vectors, rows, columns, images;
};

/// The tile of output pixels with the least estimated time, edges included, and the images of a
/// work-item.
CpuTile choose_tile(const Conv2dShape& shape) {
  constexpr int tile_overhead = 30;  // half cycles for its loops and addresses
  constexpr double worth_a_work_item =
      4e6;  // operations, so that the launch of a work-item does not count
  const Layout& y = shape.output;
  CpuTile best{vectors_of(y), 1, 1, 1};
  long least = -1;
  for (int rows = 1; rows <= std::min(y.height, most_sums); ++rows) {
    for (int columns = 1; columns <= y.width && rows * columns * best.vectors <= most_sums;
         ++columns) {
      const long tiles = quotient_up(y.height, rows) * quotient_up(y.width, columns);
      const long cost =
          tiles * (depth(shape) * step_cost(rows * columns, best.vectors) + tile_overhead);
      if (least >= 0 && cost >= least) continue;
      least = cost;
      best.rows = rows;
      best.columns = columns;
    }
  }
  const double per_image = 2.0 * depth(shape) * y.height * y.width * best.vectors * channel_lanes;
  best.images = std::clamp(static_cast<int>(worth_a_work_item / per_image), 1, y.batch);
  return best;
}

/// The part of a window whose weight gradient one tile holds: PATCH floats of each of PATCH_RUNS
/// stretches.
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

// ---- GPU: tiles of a work-group, 4 × 4 results a work-item ----

struct GpuTile {
  int m, n;
  int threads() const { return m * n / 16; }
};

/// @param rows    extent along m; a pixel or weight row each.
/// @param stride  channels of the result with their padding.
GpuTile choose_tile(long rows, int stride) {
  const int n = stride % 64 == 0 ? 64 : stride % 32 == 0 ? 32 : 16;
  int m = 4096 / n;
  while (m > 16 && m / 2 >= rows) m /= 2;
  return {m, n};
}

}  // namespace

opencl::Range Conv2d::Grid::over(int batch) const {
  const int groups = quotient_up(batch * units_per_image, units_per_group);
  return {{size(groups * threads), size(channel_tiles), 1}, {size(threads), 1, 1}};
}

Conv2d::Conv2d(opencl::Device& device, Variant variant, const Conv2dShape& shape)
    : device_(device), variant_(variant), shape_(shape) {
  validate(shape);
  if (variant == Variant::cpu) {
    build_cpu();
  } else {
    build_gpu();
  }
}

void Conv2d::build_cpu() {
  namespace entries = kernels::conv2d_cpu_;
  const auto build = [&](const Conv2dShape& shape, const CpuTile& tile) {
    Definitions all = geometry(shape);
    all.insert(
        all.end(),
        {fmt::format("VECTORS={}", tile.vectors), fmt::format("TILE_ROWS={}", tile.rows),
         fmt::format("TILE_COLUMNS={}", tile.columns), fmt::format("IMAGES={}", tile.images)});
    for (std::string& definition : weight_tile(shape, tile.vectors)) all.push_back(definition);
    return device_.build(kernels::conv2d_cpu, all);
  };
  const CpuTile tile = choose_tile(shape_);
  const opencl::Program program = build(shape_, tile);
  pack_ = program.kernel(entries::pack);
  forward_ = program.kernel(entries::forward);
  weight_gradient_ = program.kernel(entries::weight_gradient);
  sum_chunks_ = program.kernel(entries::sum_chunks);
  const int channel_tiles = shape_.output.channel_stride / (tile.vectors * channel_lanes);
  forward_grid_ = {.units_per_group = tile.images, .channel_tiles = channel_tiles};
  weight_range_ = {{1, size(channel_tiles), 1}};
  sum_range_ = {{size(shape_.kernel * shape_.kernel + 1), 1, 1}};
  std::size_t panel_floats = size(depth(shape_) * shape_.output.channel_stride);

  const bool padded_input = shape_.input.channel_stride % channel_lanes == 0;
  if (shape_.stride == 1 && padded_input && shape_.output.halo >= shape_.gradient_halo()) {
    const Conv2dShape back = turned(shape_);
    const CpuTile back_tile = choose_tile(back);
    const opencl::Program back_program = build(back, back_tile);
    pack_turned_ = back_program.kernel(entries::pack_turned);
    input_gradient_ = back_program.kernel(entries::input_gradient);
    input_grid_ = {
        .units_per_group = back_tile.images,
        .channel_tiles = shape_.input.channel_stride / (back_tile.vectors * channel_lanes)};
    panel_floats = std::max(panel_floats, size(depth(back) * shape_.input.channel_stride));
  } else {
    input_gradient_ = program.kernel(entries::gather_input_gradient);
  }
  panels_ = device_.allocate(panel_floats * sizeof(float));
  allocate_partial(16);
}

void Conv2d::build_gpu() {
  namespace entries = kernels::conv2d_gpu_;
  const Layout& x = shape_.input;
  const Layout& y = shape_.output;
  const GpuTile forward = choose_tile(long{y.batch} * y.height * y.width, y.channel_stride);
  const GpuTile input = choose_tile(long{x.batch} * x.height * x.width, x.channel_stride);
  const GpuTile weight = choose_tile(depth(shape_), y.channel_stride);
  Definitions all = geometry(shape_);
  all.insert(all.end(),
             {fmt::format("FORWARD_M={}", forward.m), fmt::format("FORWARD_N={}", forward.n),
              fmt::format("INPUT_M={}", input.m), fmt::format("INPUT_N={}", input.n),
              fmt::format("WEIGHT_M={}", weight.m), fmt::format("WEIGHT_N={}", weight.n)});
  const opencl::Program program = device_.build(kernels::conv2d_gpu, all);
  forward_ = program.kernel(entries::forward);
  input_gradient_ = program.kernel(entries::input_gradient);
  weight_gradient_ = program.kernel(entries::weight_gradient);
  sum_chunks_ = program.kernel(entries::sum_chunks);
  forward_grid_ = {y.height * y.width, forward.m, y.channel_stride / forward.n, forward.threads()};
  input_grid_ = {x.height * x.width, input.m, quotient_up(x.channel_stride, input.n),
                 input.threads()};
  weight_range_ = {{size(quotient_up(depth(shape_), weight.m) * weight.threads()),
                    size(y.channel_stride / weight.n), 1},
                   {size(weight.threads()), 1, 1}};
  const int elements = (depth(shape_) + 1) * y.channel_stride;
  sum_range_ = {{size(round_up(elements, 64)), 1, 1}, {64, 1, 1}};
  allocate_partial(512);
}

void Conv2d::allocate_partial(int wanted_groups) {
  const std::size_t groups =
      weight_range_.global[0] / weight_range_.local[0] * weight_range_.global[1];
  max_chunks_ = std::clamp(wanted_groups / static_cast<int>(groups), 1, shape_.input.batch);
  partial_ = device_.allocate(size(max_chunks_) * size(depth(shape_) + 1) *
                              size(shape_.output.channel_stride) * sizeof(float));
}

void Conv2d::expect_batch(int batch) const {
  const int capacity = std::min(shape_.input.batch, shape_.output.batch);
  if (batch < 1 || batch > capacity) {
    throw Error(fmt::format("convolution: a batch of {} where 1 to {} fit", batch, capacity));
  }
}

void Conv2d::forward(const opencl::Buffer& x, const opencl::Buffer& weight,
                     const opencl::Buffer& bias, const opencl::Buffer& y, int batch, bool relu) {
  expect_batch(batch);
  if (pack_) {
    const std::size_t taps = size(shape_.kernel * shape_.kernel);
    device_.launch(pack_, {{size(forward_grid_.channel_tiles), taps, 1}}, weight, panels_);
  }
  device_.launch(forward_, forward_grid_.over(batch), x, pack_ ? panels_ : weight, bias, y,
                 std::int32_t{batch}, std::int32_t{relu});
}

void Conv2d::input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                            const opencl::Buffer& x, const opencl::Buffer& dx, int batch,
                            bool mask) {
  expect_batch(batch);
  if (shape_.output.halo < shape_.gradient_halo()) {
    throw Error(fmt::format("convolution: the input gradient needs an output halo of {}, not {}",
                            shape_.gradient_halo(), shape_.output.halo));
  }
  opencl::Range range = input_grid_.over(batch);
  if (pack_turned_) {
    const std::size_t taps = size(shape_.kernel * shape_.kernel);
    device_.launch(pack_turned_, {{size(input_grid_.channel_tiles), taps, 1}}, weight, panels_);
  } else if (variant_ == Variant::cpu) {
    range = {{size(shape_.input.height), size(batch), 1}};
  }
  device_.launch(input_gradient_, range, dy, pack_turned_ ? panels_ : weight, x, dx,
                 std::int32_t{batch}, std::int32_t{mask});
}

void Conv2d::weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                             const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                             int batch) {
  expect_batch(batch);
  const std::int32_t images = quotient_up(batch, max_chunks_);
  const std::int32_t chunks = quotient_up(batch, images);
  opencl::Range range = weight_range_;
  range.global[2] = size(chunks);
  device_.launch(weight_gradient_, range, x, dy, partial_, std::int32_t{batch}, images);
  device_.launch(sum_chunks_, sum_range_, partial_, dweight, dbias, chunks);
}

}  // namespace dovetail
