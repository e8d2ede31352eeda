// Cuts a convolution into tiles for a GPU's work-groups and launches the kernels.
#include "ops/conv2d_gpu.hpp"

#include <algorithm>
#include <cstdint>

#include "dovetail_kernels.hpp"
#include "ops/conv2d_tiles.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

using namespace conv_tiles;

namespace {

constexpr int slice = 16;  // pixels between barriers of the weight gradient

}  // namespace

bool Conv2dGpu::takes_images() const {
  return !rounding_ && shape_.input.channel_stride % channel_lanes != 0;
}

bool Conv2dGpu::fits(const Conv2dPoolShape& shape) {
  // Four weight rows are four channels of a pixel.
  if (shape.normalised && shape.input.channels % 4 != 0) return false;
  return (shape.pool == 1 || shape.pool == 2) && shape.output.height > 0 && shape.output.width > 0;
}

opencl::Range Conv2dGpu::Product::over(int batch) const {
  const int groups = quotient_up(batch * units_per_image, tile_units);
  return {{extent(groups) * extent(threads), extent(column_tiles), 1}, {extent(threads), 1, 1}};
}

Conv2dGpu::Conv2dGpu(opencl::Device& device, const Conv2dPoolShape& shape, bool training,
                     ComputeFormat format, const ConvKernels& kernels, int step_passes)
    : Conv2dFused(device, shape, training) {
  namespace entries = kernels::conv2d_gpu_;
  validate(shape);
  if (!fits(shape)) {
    throw Error(fmt::format("convolution: a pool of {} does not fit a GPU's kernels", shape.pool));
  }
  if (format != ComputeFormat::float32) rounding_.emplace(device, Variant::gpu, format);
  if (rounding_ && shape.normalised)
    throw Error("convolution: an input that is normalised as it is read cannot be rounded before");
  const Layout &x = shape.input, &y = shape.output;
  const int window = shape.pool * shape.pool, units = y.height * y.width;
  const GpuTile forward =
      gpu_tile(long{y.batch} * units * window, y.channel_stride, kernels.forward);
  const GpuTile input =
      gpu_tile(long{x.batch} * x.height * x.width, x.channel_stride, kernels.input_gradient);
  const GpuTile weight = gpu_weight_tile(depth(shape), y.channel_stride);
  Definitions all = geometry({x, y, shape.kernel, shape.stride, shape.padding});
  all.push_back(fmt::format("POOL={}", shape.pool));
  all.push_back(fmt::format("EXACT_BIAS={:d}", rounding_.has_value()));
  all.push_back(fmt::format("IMAGES={:d}", takes_images()));
  all.push_back(fmt::format("GRADIENTS={:d}", training));
  all.push_back(fmt::format("NORMALISED={:d}", shape.normalised));
  if (device.is_cpu()) all.push_back("ROLLED");
  for (const Definitions& each :
       {forward.definitions("FORWARD"), input.definitions("INPUT"), weight.definitions("WEIGHT")})
    all.insert(all.end(), each.begin(), each.end());
  const opencl::Program program = device_.build(kernels::conv2d_gpu, all);
  forward_ = {program.kernel(entries::forward), units, forward.m / window,
              y.channel_stride / forward.n, forward.threads()};
  if (takes_images()) forward_images_ = program.kernel(entries::forward_images);
  make_places();
  if (!training) return;
  input_gradient_ = {program.kernel(entries::input_gradient), x.height * x.width, input.m,
                     quotient_up(x.channel_stride, input.n), input.threads()};
  weight_gradient_ = program.kernel(entries::weight_gradient);
  const int row_tiles = quotient_up(depth(shape), weight.m),
            column_tiles = y.channel_stride / weight.n;
  weight_range_ = {{extent(row_tiles * weight.threads()), extent(column_tiles), 1},
                   {extent(weight.threads()), 1, 1}};
  const int groups = kernels.groups > 0 ? kernels.groups : usual_groups;
  pixels_per_image_ = units * window;
  const int passes = std::max(1, step_passes / 2);
  max_chunks_ = std::clamp(groups / (row_tiles * column_tiles) / passes, 1,
                           quotient_up(x.batch * pixels_per_image_, slice));
  make_sums(max_chunks_);
}

const opencl::Buffer& Conv2dGpu::operand(const opencl::Buffer& source, const Layout& layout,
                                         int batch, RoundOperand::Side side) {
  if (!rounding_) return source;
  return rounding_->round(source, extent(batch) * extent(layout.image_stride()), side);
}

const opencl::Buffer& Conv2dGpu::operand(const opencl::Buffer& weight) {
  if (!rounding_) return weight;
  return rounding_->round(weight, extent(depth(shape_)) * extent(shape_.output.channel_stride),
                          RoundOperand::Side::right);
}

void Conv2dGpu::forward(const opencl::Buffer& x, const opencl::Buffer& weight,
                        const opencl::Buffer& bias, const opencl::Buffer& y, int batch, bool relu) {
  expect_room(batch);
  const opencl::Buffer& left = operand(x, shape_.input, batch, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(weight);
  device_.launch(forward_.kernel, forward_.over(batch), left, right, bias, places_, y,
                 std::int32_t{batch}, finish(relu), law_or(bias), input_law_.pitch);
}

void Conv2dGpu::forward_images(const ImageSource& images, const ChannelLaws& laws,
                               const opencl::Buffer& x, const opencl::Buffer& weight,
                               const opencl::Buffer& bias, const opencl::Buffer& y, int batch,
                               bool relu) {
  expect_room(batch);
  if (!takes_images()) throw Error("convolution: images of padded channels, or to be rounded");
  launch_from_images(device_, forward_images_, forward_.over(batch), images, laws, x, weight, bias,
                     places_, y, std::int32_t{batch}, finish(relu));
}

void Conv2dGpu::input_gradient(const opencl::Buffer& dy, const opencl::Buffer& weight,
                               const opencl::Buffer& x, const opencl::Buffer& dx, int batch,
                               bool mask) {
  expect_gradients(batch);
  expect_halo();
  const opencl::Buffer& left = operand(dy, shape_.output, batch, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(weight);
  device_.launch(input_gradient_.kernel, input_gradient_.over(batch), left, right, x, places_, dx,
                 std::int32_t{batch}, std::int32_t{mask ? finish_mask : finish_none}, law_or(x),
                 input_law_.pitch);
}

void Conv2dGpu::weight_gradient(const opencl::Buffer& x, const opencl::Buffer& dy,
                                const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                                const JoinedBatch& batch) {
  const int samples = batch.samples();
  expect_gradients(samples);
  const int pixels = batch.each * pixels_per_image_;
  const std::int32_t pixels_per_chunk = round_up(quotient_up(pixels, max_chunks_), slice);
  const std::int32_t chunks = quotient_up(pixels, pixels_per_chunk);
  opencl::Range range = weight_range_;
  range.global[2] = extent(batch.passes * chunks);
  const opencl::Buffer& left = operand(x, shape_.input, samples, RoundOperand::Side::left);
  const opencl::Buffer& right = operand(dy, shape_.output, samples, RoundOperand::Side::right);
  reserve_partial(batch.passes * chunks);
  device_.launch(weight_gradient_, range, left, right, dy, places_, partial_,
                 std::int32_t{batch.each}, pixels_per_chunk, chunks, law_or(x), input_law_.pitch);
  sum_partial(dweight, dbias, chunks, batch.passes);
}

}  // namespace dovetail
