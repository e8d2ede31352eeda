// Cuts a convolution into tiles for its device and launches the kernels.
#include "ops/conv2d.hpp"

#include <algorithm>
#include <cstdint>

#include "dovetail_kernels.hpp"
#include "ops/conv2d_tiles.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

using namespace conv_tiles;

opencl::Range Conv2d::Grid::over(int batch) const {
  const int groups = quotient_up(batch * units_per_image, units_per_group);
  return {{size(groups * threads), size(channel_tiles), 1}, {size(threads), 1, 1}};
}

Conv2d::Conv2d(opencl::Device& device, const ConvKernels& kernels, const Conv2dShape& shape,
               ComputeFormat format, int step_passes)
    : device_(device),
      kernels_(kernels),
      variant_(kernels.variant == Variant::cpu ? Variant::cpu : Variant::gpu),
      shape_(shape) {
  validate(shape);
  if (format != ComputeFormat::float32) rounding_.emplace(device, variant_, format);
  if (variant_ == Variant::cpu) {
    build_cpu(step_passes);
  } else {
    build_gpu();
  }
}

const opencl::Buffer& Conv2d::operand(const opencl::Buffer& source, const Layout& layout, int batch,
                                      RoundOperand::Side side) {
  if (!rounding_) return source;
  return rounding_->round(source, size(batch) * size(layout.image_stride()), side);
}

const opencl::Buffer& Conv2d::operand(const opencl::Buffer& weight) {
  if (!rounding_) return weight;
  return rounding_->round(weight, size(depth(shape_)) * size(shape_.output.channel_stride),
                          RoundOperand::Side::right);
}

void Conv2d::build_cpu(int step_passes) {
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
  forward_grid_ = {.units_per_group = tile.images, .channel_tiles = channel_tiles};
  weight_range_ = {{1, size(channel_tiles), 1}};
  sum_range_ = {{size(shape_.kernel * shape_.kernel + 1), 1, 1}};
  std::size_t panel_floats = size(depth(shape_) * shape_.output.channel_stride);

  if (turns(shape_)) {
    const Conv2dShape back = turned(shape_);
    const CpuTile back_tile = cpu_tile(back, kernels_.input_gradient);
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
  allocate_partial(cpu_gradient_groups(step_passes));
}

void Conv2d::build_gpu() {
  namespace entries = kernels::conv2d_gpu_;
  const Layout& x = shape_.input;
  const Layout& y = shape_.output;
  const GpuTile forward =
      gpu_tile(long{y.batch} * y.height * y.width, y.channel_stride, kernels_.forward);
  const GpuTile input =
      gpu_tile(long{x.batch} * x.height * x.width, x.channel_stride, kernels_.input_gradient);
  const GpuTile weight = choose_tile(depth(shape_), y.channel_stride);
  Definitions all = geometry(shape_);
  all.insert(all.end(),
             {fmt::format("FORWARD_M={}", forward.m), fmt::format("FORWARD_N={}", forward.n),
              fmt::format("INPUT_M={}", input.m), fmt::format("INPUT_N={}", input.n),
              fmt::format("WEIGHT_M={}", weight.m), fmt::format("WEIGHT_N={}", weight.n),
              fmt::format("EXACT_BIAS={:d}", rounding_.has_value())});
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
  allocate_partial(kernels_.groups > 0 ? kernels_.groups : usual_groups);
}

void Conv2d::allocate_partial(int wanted_groups) {
  const std::size_t groups =
      weight_range_.global[0] / weight_range_.local[0] * weight_range_.global[1];
  max_chunks_ = std::clamp(wanted_groups / static_cast<int>(groups), 1, shape_.input.batch);
  reserve_partial(max_chunks_);
}

void Conv2d::reserve_partial(int chunks) {
  const std::size_t bytes =
      size(chunks) * size(depth(shape_) + 1) * size(shape_.output.channel_stride) * sizeof(float);
  device_.reserve(partial_, bytes);
}

void Conv2d::expect_batch(int batch) const {
  const int capacity = std::min(shape_.input.batch, shape_.output.batch);
  if (batch < 1 || batch > capacity) {
    throw Error(fmt::format("convolution: a batch of {} where 1 to {} fit", batch, capacity));
  }
}

void Conv2d::pack(const opencl::Buffer& weight) {
  const std::size_t taps = size(shape_.kernel * shape_.kernel);
  device_.launch(pack_, {{size(forward_grid_.channel_tiles), taps, 1}}, weight, panels_);
}

void Conv2d::forward(const opencl::Buffer& x, const opencl::Buffer& weight,
                     const opencl::Buffer& bias, const opencl::Buffer& y, int batch, bool relu) {
  expect_batch(batch);
  const opencl::Buffer& left = operand(x, shape_.input, batch, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(weight);
  if (pack_) pack(right);
  device_.launch(forward_, forward_grid_.over(batch), left, pack_ ? panels_ : right, bias, y,
                 std::int32_t{batch}, std::int32_t{relu});
}

void Conv2d::forward_images(const ImageSource& images, const ChannelLaws& laws,
                            const opencl::Buffer& x, const opencl::Buffer& weight,
                            const opencl::Buffer& bias, const opencl::Buffer& y, int batch,
                            bool relu) {
  expect_batch(batch);
  if (!takes_images()) throw Error("convolution: images that no kernel here takes");
  pack(weight);
  opencl::Range range = forward_grid_.over(batch);
  range.global[1] = 1;
  launch_from_images(device_, forward_images_, range, images, laws, x, panels_, bias, y,
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
  const opencl::Buffer& left = operand(dy, shape_.output, batch, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(weight);
  opencl::Range range = input_grid_.over(batch);
  if (pack_turned_) {
    const std::size_t taps = size(shape_.kernel * shape_.kernel);
    device_.launch(pack_turned_, {{size(input_grid_.channel_tiles), taps, 1}}, right, panels_);
  } else if (variant_ == Variant::cpu) {
    range = {{size(shape_.input.height), size(batch), 1}};
  }
  device_.launch(input_gradient_, range, left, pack_turned_ ? panels_ : right, x, dx,
                 std::int32_t{batch}, std::int32_t{mask});
}

void Conv2d::weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                             const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                             const JoinedBatch& batch) {
  const int samples = batch.samples();
  expect_batch(samples);
  const std::int32_t images = quotient_up(batch.each, max_chunks_);
  const std::int32_t chunks = quotient_up(batch.each, images);
  opencl::Range range = weight_range_;
  range.global[2] = size(batch.passes * chunks);
  const opencl::Buffer& left = operand(x, shape_.input, samples, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(dy, shape_.output, samples, RoundOperand::Side::right);
  reserve_partial(batch.passes * chunks);
  device_.launch(weight_gradient_, range, left, right, dy, partial_, std::int32_t{batch.each},
                 images, chunks);
  device_.launch(sum_chunks_, sum_range_, partial_, dweight, dbias, chunks,
                 std::int32_t{batch.passes});
}

}  // namespace dovetail
