// Cuts a convolution with a max-pool behind it into tiles and launches the kernels.
#include "ops/conv2d_pool.hpp"

#include <algorithm>
#include <cstdint>

#include "dovetail_kernels.hpp"
#include "ops/conv2d_tiles.hpp"
#include "ops/lines.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

using namespace conv_tiles;

namespace {

constexpr int vector_bytes = channel_lanes * 4;
constexpr int most_sums = 27;             // vectors that the gradients' kernels keep in registers
constexpr int most_scratch = 256 << 10;   // bytes: a part of the second-level cache
constexpr int cached_scratch = 16 << 10;  // half of the first-level cache
constexpr int cached_input = 20 << 10;    // most of it: nothing else is written
constexpr int places_that_a_byte_holds = 256;

bool is_padded(const Layout& map) {
  return map.channel_stride % channel_lanes == 0;
}

/// The convolution as if it wrote the pooled map: its geometry is the kernels'.
Conv2dShape stored(const Conv2dPoolShape& shape) {
  return {shape.input, shape.output, shape.kernel, shape.stride, shape.padding};
}

/// The rows of the convolution's output that make one row of the pool's.
Conv2dShape strip(const Conv2dPoolShape& shape) {
  Conv2dShape rows = convolution(shape);
  rows.output.height = shape.pool;
  rows.output.width = shape.output.width * shape.pool;
  return rows;
}

int area_row_bytes(const Conv2dPoolShape& shape, int vectors) {
  return (shape.input.width + 2 * shape.padding) * vectors * vector_bytes;
}

/// Vectors of input channels that the gradients go through at a time; 0 where none fit.
int block_vectors(const Conv2dPoolShape& shape) {
  const int all = shape.input.channel_stride / channel_lanes;
  const int rows = shape.input.height + 2 * shape.padding;
  for (int vectors = std::min(all, most_sums / (shape.kernel * shape.kernel)); vectors > 0;
       --vectors) {
    if (all % vectors == 0 && rows * area_row_bytes(shape, vectors) <= most_scratch) return vectors;
  }
  return 0;
}

/// As many rows of pooled pixels as reach no more than `bytes` of rows of the input.
int band(const Conv2dPoolShape& shape, int vectors, int bytes) {
  const int rows = bytes / area_row_bytes(shape, vectors);
  const int reach = (shape.pool - 1) * shape.stride + shape.kernel;  // of one
  return std::clamp((rows - reach) / (shape.pool * shape.stride) + 1, 1, shape.output.height);
}

void expect_fit(const Conv2dPoolShape& shape) {
  conv_tiles::validate(shape);
  if (!Conv2dPool::fits(shape)) {
    throw Error(fmt::format("convolution: a kernel of {} with a pool of {} on {}x{} does not fit",
                            shape.kernel, shape.pool, shape.input.height, shape.input.width));
  }
}

}  // namespace

std::string ConvPoolKernels::name() const {
  return rows > 0 ? fmt::format("cpu, tile {}x{}", rows, columns) : "cpu";
}

std::vector<ConvPoolKernels> conv_pool_candidates(const Conv2dPoolShape& shape,
                                                  Direction direction) {
  constexpr std::size_t most = 2;  // each is a program to compile
  std::vector<ConvPoolKernels> candidates{{}};
  if (direction != Direction::forward) return candidates;
  const auto tiles = ranked_tiles(strip(shape));
  for (std::size_t i = 1; i < std::min(most, tiles.size()); ++i)
    candidates.push_back({tiles[i].rows, tiles[i].columns});
  return candidates;
}

bool Conv2dPool::fits(const Conv2dPoolShape& shape) {
  if (shape.kernel < 1 || shape.pool < 2 || shape.pool * shape.pool > places_that_a_byte_holds)
    return false;
  if (shape.output.height < 1 || shape.output.width < 1) return false;
  const int line_vectors =
      shape.pool * shape.pool * shape.output.width * (shape.output.channel_stride / channel_lanes);
  if (line_vectors * vector_bytes > most_scratch) return false;
  return !is_padded(shape.input) || block_vectors(shape) > 0;
}

Conv2dPool::Conv2dPool(opencl::Device& device, const Conv2dPoolShape& shape, bool training,
                       ComputeFormat format, const ConvPoolKernels& kernels, int step_passes)
    : device_(device), shape_(shape), training_(training), kernels_(kernels) {
  expect_fit(shape);
  if (format != ComputeFormat::float32) rounding_.emplace(device, Variant::cpu, format);
  build(step_passes);
}

void Conv2dPool::build(int step_passes) {
  const Layout& y = shape_.output;
  const CpuTile tile = cpu_tile(
      convolution(shape_), kernels_.rows > 0 ? ConvKernels::Tile{kernels_.rows, kernels_.columns}
                                             : ranked_tiles(strip(shape_)).front());
  Definitions all = geometry(stored(shape_));
  all.insert(all.end(),
             {fmt::format("VECTORS={}", tile.vectors), fmt::format("TILE_ROWS={}", tile.rows),
              fmt::format("TILE_COLUMNS={}", tile.columns), fmt::format("IMAGES={}", tile.images),
              fmt::format("POOL={}", shape_.pool)});
  const opencl::Program program = device_.build(kernels::conv2d_pool_cpu, all);
  pack_ = program.kernel(kernels::conv2d_pool_cpu_::pack);
  forward_ = program.kernel(kernels::conv2d_pool_cpu_::pooled_forward);
  if (!rounding_ && !is_padded(shape_.input))
    forward_images_ = program.kernel(kernels::conv2d_pool_cpu_::pooled_forward_images);
  images_ = tile.images;
  channel_tiles_ = y.channel_stride / (tile.vectors * channel_lanes);
  std::size_t panel_floats = extent(depth(stored(shape_)) * y.channel_stride);
  places_ = device_.allocate(
      training_ ? extent(y.batch * y.height) * extent(y.width * y.channel_stride) : 64);
  if (training_)
    panel_floats = std::max(panel_floats, build_gradients(all, tile.vectors, step_passes));
  panels_ = device_.allocate(panel_floats * sizeof(float));
}

std::size_t Conv2dPool::build_gradients(std::vector<std::string> definitions, int tile_vectors,
                                        int step_passes) {
  namespace entries = kernels::conv2d_pool_gradient_cpu_;
  const Layout &x = shape_.input, &y = shape_.output;
  const bool padded = is_padded(x);
  const int vectors = padded ? block_vectors(shape_) : 1;
  definitions.insert(definitions.end(),
                     {fmt::format("BLOCK_VECTORS={}", vectors),
                      fmt::format("BAND={}", band(shape_, vectors, cached_scratch)),
                      fmt::format("SUMS_BAND={}", band(shape_, vectors, cached_input))});
  for (std::string& definition : weight_tile(convolution(shape_), tile_vectors))
    definitions.push_back(definition);
  const opencl::Program program = device_.build(kernels::conv2d_pool_gradient_cpu, definitions);
  weight_gradient_ =
      program.kernel(padded ? entries::pooled_weight_gradient : entries::masked_weight_gradient);
  sum_chunks_ = program.kernel(padded ? entries::sum_pooled_chunks : entries::sum_masked_chunks);
  gradient_tiles_ = padded ? x.channel_stride / (vectors * channel_lanes) : channel_tiles_;
  max_chunks_ = std::clamp(cpu_gradient_groups(step_passes) / gradient_tiles_, 1, x.batch);
  reserve_partial(max_chunks_);
  if (!padded) return 0;
  pack_by_channel_ = program.kernel(entries::pack_by_channel);
  input_gradient_ = program.kernel(entries::pooled_input_gradient);
  return extent(shape_.kernel * shape_.kernel) * extent(x.channel_stride) * extent(y.channels);
}

void Conv2dPool::reserve_partial(int chunks) {
  const Layout& x = shape_.input;
  const int rows = shape_.kernel * shape_.kernel * (is_padded(x) ? x.channel_stride : x.channels);
  device_.reserve(partial_, extent(chunks) * extent(rows + 1) *
                                extent(shape_.output.channel_stride) * sizeof(float));
}

const opencl::Buffer& Conv2dPool::operand(const opencl::Buffer& source, const Layout& layout,
                                          int batch, RoundOperand::Side side) {
  if (!rounding_) return source;
  return rounding_->round(source, extent(batch) * extent(layout.image_stride()), side);
}

const opencl::Buffer& Conv2dPool::operand(const opencl::Buffer& weight) {
  if (!rounding_) return weight;
  return rounding_->round(weight,
                          extent(depth(stored(shape_))) * extent(shape_.output.channel_stride),
                          RoundOperand::Side::right);
}

void Conv2dPool::pack(const opencl::Buffer& weight) {
  if (kept_.is_there()) return;
  const std::size_t taps = extent(shape_.kernel * shape_.kernel);
  device_.launch(pack_, {{extent(channel_tiles_), taps, 1}}, operand(weight), panels_);
  kept_.made();
}

void Conv2dPool::forward(const opencl::Buffer& x, const opencl::Buffer& weight,
                         const opencl::Buffer& bias, const opencl::Buffer& y, int batch,
                         bool relu) {
  expect_batch(batch, shape_.output.batch);
  const opencl::Buffer& left = operand(x, shape_.input, batch, RoundOperand::Side::left);
  pack(weight);
  const opencl::Range range{{extent(quotient_up(batch, images_)), extent(channel_tiles_), 1}};
  device_.launch(forward_, range, left, panels_, bias, y, places_, std::int32_t{batch},
                 std::int32_t{relu}, std::int32_t{training_});
}

void Conv2dPool::forward_images(const ImageSource& images, const ChannelLaws& laws,
                                const opencl::Buffer& x, const opencl::Buffer& weight,
                                const opencl::Buffer& bias, const opencl::Buffer& y, int batch,
                                bool relu) {
  expect_batch(batch, shape_.output.batch);
  if (!takes_images()) throw Error("convolution: images of padded channels, or to be rounded");
  pack(weight);
  launch_from_images(device_, forward_images_, {{extent(quotient_up(batch, images_)), 1, 1}},
                     images, laws, x, panels_, bias, y, places_, std::int32_t{batch},
                     std::int32_t{relu}, std::int32_t{training_});
}

void Conv2dPool::expect_gradients(int batch) const {
  expect_batch(batch, shape_.output.batch);
  if (!training_) throw Error("convolution: made without gradients");
}

void Conv2dPool::input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                                const opencl::Buffer& x, const opencl::Buffer& dx, int batch,
                                bool mask) {
  expect_gradients(batch);
  if (!input_gradient_)
    throw Error("convolution: the gradient of an input whose channels are not padded");
  const opencl::Buffer& left = operand(dy, shape_.output, batch, RoundOperand::Side::left);
  const std::size_t taps = extent(shape_.kernel * shape_.kernel);
  const std::size_t outs = extent(shape_.output.channel_stride / channel_lanes);
  kept_.lose();
  device_.launch(pack_by_channel_, {{taps, outs, 1}}, operand(weight), panels_);
  device_.launch(input_gradient_, {{extent(batch), extent(gradient_tiles_), 1}}, left, places_,
                 panels_, x, dx, std::int32_t{mask});
}

void Conv2dPool::weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                                 const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                                 const JoinedBatch& batch) {
  const int samples = batch.samples();
  expect_gradients(samples);
  const std::int32_t images = quotient_up(batch.each, max_chunks_);
  const std::int32_t chunks = quotient_up(batch.each, images);
  const opencl::Buffer& left = operand(x, shape_.input, samples, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(dy, shape_.output, samples, RoundOperand::Side::right);
  reserve_partial(batch.passes * chunks);
  device_.launch(weight_gradient_, {{extent(gradient_tiles_), extent(batch.passes * chunks), 1}},
                 left, right, dy, places_, partial_, std::int32_t{batch.each}, images, chunks);
  const std::size_t units = extent(shape_.kernel * shape_.kernel + 1);
  const std::size_t outs =
      is_padded(shape_.input) ? extent(shape_.output.channel_stride / channel_lanes) : 1;
  device_.launch(sum_chunks_, {{units, outs, 1}}, partial_, dweight, dbias, chunks,
                 std::int32_t{batch.passes});
}

}  // namespace dovetail
