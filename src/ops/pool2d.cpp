// Launches the pooling kernels.
#include "ops/pool2d.hpp"

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

int lanes_of(Variant variant) {
  return variant == Variant::cpu ? 16 : 4;
}

const Pool2dShape& checked(const Pool2dShape& shape) {
  const Layout& in = shape.input;
  const Layout& out = shape.output;
  const auto pooled = [&](int extent) { return (extent - shape.kernel) / shape.stride + 1; };
  if (shape.kernel < 1 || shape.stride < 1 || in.height < shape.kernel || in.width < shape.kernel) {
    throw Error(fmt::format("a {0}x{0} pool with stride {1} does not fit on {2}x{3} feature maps",
                            shape.kernel, shape.stride, in.height, in.width));
  }
  if (out.height != pooled(in.height) || out.width != pooled(in.width) ||
      out.channels != in.channels || out.channel_stride != in.channel_stride ||
      out.batch != in.batch) {
    throw Error(
        fmt::format("a pool's output layout ({}x{}x{}, batch {}) does not follow from its input's",
                    out.height, out.width, out.channels, out.batch));
  }
  return shape;
}

}  // namespace

Pool2d::Pool2d(opencl::Device& device, Variant variant, PoolKind kind, const Pool2dShape& shape)
    : device_(device),
      shape_(checked(shape)),
      input_(device, variant, shape.input, lanes_of(variant)),
      output_(device, variant, shape.output, lanes_of(variant)) {
  const opencl::Program program =
      device.build(kernels::pool2d,
                   {fmt::format("LANES={}", lanes_of(variant)),
                    fmt::format("KERNEL={}", shape.kernel), fmt::format("STRIDE={}", shape.stride),
                    fmt::format("AVERAGE={}", kind == PoolKind::average ? 1 : 0)});
  forward_ = program.kernel(kernels::pool2d_::pool_forward);
  backward_ =
      program.kernel(shape.stride >= shape.kernel ? kernels::pool2d_::pool_backward_apart
                                                  : kernels::pool2d_::pool_backward_overlapping);
}

void Pool2d::forward(const opencl::Buffer& x, const opencl::Buffer& y, int batch) {
  expect_batch(batch, shape_.input.batch);
  device_.launch(forward_, output_.groups(batch * output_.rows()), x, y, input_.map(),
                 output_.map());
}

void Pool2d::backward(const opencl::Buffer& x, const opencl::Buffer& y, const opencl::Buffer& dy,
                      const opencl::Buffer& dx, int batch, bool mask) {
  expect_batch(batch, shape_.input.batch);
  const std::int32_t masked = mask ? 1 : 0;
  if (shape_.stride >= shape_.kernel) {
    const int cell_rows = (shape_.input.height + shape_.stride - 1) / shape_.stride;
    device_.launch(backward_, output_.groups(batch * cell_rows), x, dy, dx, input_.map(),
                   output_.map(), masked);
  } else {
    device_.launch(backward_, input_.groups(batch * shape_.input.height), x, y, dy, dx,
                   input_.map(), output_.map(), masked);
  }
}

}  // namespace dovetail
