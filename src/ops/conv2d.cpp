// Cuts a convolution into tiles for CPUs and launches the kernels; a GPU's are Conv2dGpu's.
#include "ops/conv2d.hpp"

#include <algorithm>
#include <cstdint>

#include "dovetail_kernels.hpp"
#include "ops/conv2d_gpu.hpp"
#include "ops/conv2d_tiles.hpp"
#include "ops/lines.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

using namespace conv_tiles;

opencl::Range Conv2d::Grid::over(int batch) const {
  return {{extent(quotient_up(batch, images_per_item)), extent(channel_tiles), 1}, {1, 1, 1}};
}

void Conv2d::expect_room(int batch) const {
  expect_batch(batch, std::min(shape_.input.batch, shape_.output.batch));
}

Conv2d::Conv2d(opencl::Device& device, const ConvKernels& kernels, const Conv2dShape& shape,
               ComputeFormat format, int step_passes)
    : device_(device), kernels_(kernels), shape_(shape) {
  validate(shape);
  if (kernels.variant != Variant::cpu) {
    gpu_ = std::make_unique<Conv2dGpu>(
        device,
        Conv2dPoolShape{shape.input, shape.output, shape.kernel, shape.stride, shape.padding, 1},
        true, format, kernels, step_passes);
    return;
  }
  if (format != ComputeFormat::float32) rounding_.emplace(device, Variant::cpu, format);
  build(step_passes);
}

Conv2d::Conv2d(Conv2d&&) noexcept = default;
Conv2d::~Conv2d() = default;

bool Conv2d::emulates_format() const {
  return gpu_ ? gpu_->emulates_format() : rounding_.has_value();
}

const opencl::Buffer& Conv2d::operand(const opencl::Buffer& source, const Layout& layout, int batch,
                                      RoundOperand::Side side) {
  if (!rounding_) return source;
  return rounding_->round(source, extent(batch) * extent(layout.image_stride()), side);
}

const opencl::Buffer& Conv2d::operand(const opencl::Buffer& weight) {
  if (!rounding_) return weight;
  return rounding_->round(weight, extent(depth(shape_)) * extent(shape_.output.channel_stride),
                          RoundOperand::Side::right);
}

void Conv2d::build(int step_passes) {
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
  const CpuTile tile = cpu_tile(shape_, kernels_.forward);
  const opencl::Program program = build(shape_, tile);
  pack_ = program.kernel(entries::pack);
  forward_ = program.kernel(entries::forward);
  if (!rounding_ && shape_.input.channel_stride % channel_lanes != 0)
    forward_images_ = program.kernel(entries::forward_images);
  weight_gradient_ = program.kernel(entries::weight_gradient);
  sum_chunks_ = program.kernel(entries::sum_chunks);
  const int channel_tiles = shape_.output.channel_stride / (tile.vectors * channel_lanes);
  forward_grid_ = {.images_per_item = tile.images, .channel_tiles = channel_tiles};
  weight_range_ = {{1, extent(channel_tiles), 1}};
  sum_range_ = {{extent(shape_.kernel * shape_.kernel + 1), 1, 1}};
  std::size_t panel_floats = extent(depth(shape_) * shape_.output.channel_stride);

  if (turns(shape_)) {
    const Conv2dShape back = turned(shape_);
    const CpuTile back_tile = cpu_tile(back, kernels_.input_gradient);
    const opencl::Program back_program = build(back, back_tile);
    pack_turned_ = back_program.kernel(entries::pack_turned);
    input_gradient_ = back_program.kernel(entries::input_gradient);
    input_grid_ = {
        .images_per_item = back_tile.images,
        .channel_tiles = shape_.input.channel_stride / (back_tile.vectors * channel_lanes)};
    panel_floats = std::max(panel_floats, extent(depth(back) * shape_.input.channel_stride));
  } else {
    input_gradient_ = program.kernel(entries::gather_input_gradient);
  }
  panels_ = device_.allocate(panel_floats * sizeof(float));
  max_chunks_ = std::clamp(cpu_gradient_groups(step_passes) / channel_tiles, 1, shape_.input.batch);
  reserve_partial(max_chunks_);
}

void Conv2d::reserve_partial(int chunks) {
  const std::size_t bytes = extent(chunks) * extent(depth(shape_) + 1) *
                            extent(shape_.output.channel_stride) * sizeof(float);
  device_.reserve(partial_, bytes);
}

bool Conv2d::takes_images() const {
  return gpu_ ? gpu_->takes_images() : static_cast<bool>(forward_images_);
}

void Conv2d::pack(const opencl::Buffer& weight) {
  if (kept_.is_there()) return;
  const std::size_t taps = extent(shape_.kernel * shape_.kernel);
  device_.launch(pack_, {{extent(forward_grid_.channel_tiles), taps, 1}}, operand(weight), panels_);
  kept_.made();
}

void Conv2d::forward(const opencl::Buffer& x, const opencl::Buffer& weight,
                     const opencl::Buffer& bias, const opencl::Buffer& y, int batch, bool relu) {
  if (gpu_) return gpu_->forward(x, weight, bias, y, batch, relu);
  expect_room(batch);
  const opencl::Buffer& left = operand(x, shape_.input, batch, RoundOperand::Side::left);
  pack(weight);
  device_.launch(forward_, forward_grid_.over(batch), left, panels_, bias, y, std::int32_t{batch},
                 std::int32_t{relu});
}

void Conv2d::forward_images(const ImageSource& images, const ChannelLaws& laws,
                            const opencl::Buffer& x, const opencl::Buffer& weight,
                            const opencl::Buffer& bias, const opencl::Buffer& y, int batch,
                            bool relu) {
  if (gpu_) return gpu_->forward_images(images, laws, x, weight, bias, y, batch, relu);
  expect_room(batch);
  if (!takes_images()) throw Error("convolution: images of padded channels, or to be rounded");
  pack(weight);
  opencl::Range range = forward_grid_.over(batch);
  range.global[1] = 1;
  launch_from_images(device_, forward_images_, range, images, laws, x, panels_, bias, y,
                     std::int32_t{batch}, std::int32_t{relu});
}

void Conv2d::input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                            const opencl::Buffer& x, const opencl::Buffer& dx, int batch,
                            bool mask) {
  if (gpu_) return gpu_->input_gradient(dy, weight, x, dx, batch, mask);
  expect_room(batch);
  if (shape_.output.halo < shape_.gradient_halo()) {
    throw Error(fmt::format("convolution: the input gradient needs an output halo of {}, not {}",
                            shape_.gradient_halo(), shape_.output.halo));
  }
  const opencl::Buffer& left = operand(dy, shape_.output, batch, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(weight);
  opencl::Range range{{extent(shape_.input.height), extent(batch), 1}};
  if (pack_turned_) {
    const std::size_t taps = extent(shape_.kernel * shape_.kernel);
    range = input_grid_.over(batch);
    kept_.lose();
    device_.launch(pack_turned_, {{extent(input_grid_.channel_tiles), taps, 1}}, right, panels_);
  }
  device_.launch(input_gradient_, range, left, pack_turned_ ? panels_ : right, x, dx,
                 std::int32_t{batch}, std::int32_t{mask});
}

void Conv2d::weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                             const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                             const JoinedBatch& batch) {
  if (gpu_) return gpu_->weight_gradient(x, dy, dweight, dbias, batch);
  const int samples = batch.samples();
  expect_room(samples);
  const std::int32_t images = quotient_up(batch.each, max_chunks_);
  const std::int32_t chunks = quotient_up(batch.each, images);
  opencl::Range range = weight_range_;
  range.global[2] = extent(batch.passes * chunks);
  const opencl::Buffer& left = operand(x, shape_.input, samples, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(dy, shape_.output, samples, RoundOperand::Side::right);
  reserve_partial(batch.passes * chunks);
  device_.launch(weight_gradient_, range, left, right, dy, partial_, std::int32_t{batch.each},
                 images, chunks);
  device_.launch(sum_chunks_, sum_range_, partial_, dweight, dbias, chunks,
                 std::int32_t{batch.passes});
}

}  // namespace dovetail
