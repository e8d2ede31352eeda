// Checks batches, and holds what a convolution's passes leave for each other.
#include "ops/conv2d_fused.hpp"

#include <algorithm>

#include "ops/conv2d_tiles.hpp"
#include "ops/lines.hpp"
#include "support/error.hpp"
#include "support/text.hpp"
#include "tensor/layout.hpp"

namespace dovetail {

using namespace conv_tiles;

void Conv2dFused::expect_room(int batch) const {
  expect_batch(batch, std::min(shape_.input.batch, shape_.output.batch));
}

void Conv2dFused::expect_gradients(int batch) const {
  expect_room(batch);
  if (!training_) throw Error("convolution: made without gradients");
}

void Conv2dFused::expect_halo() const {
  const int halo = convolution(shape_).gradient_halo();
  if (shape_.pool == 1 && shape_.output.halo < halo) {
    throw Error(fmt::format("convolution: the input gradient needs an output halo of {}, not {}",
                            halo, shape_.output.halo));
  }
}

const opencl::Buffer& Conv2dFused::law_or(const opencl::Buffer& other) const {
  return shape_.normalised ? input_law_.rows_of("convolution") : other;
}

void Conv2dFused::make_places() {
  const Layout& y = shape_.output;
  places_ = device_.allocate(keeps_places() ? extent(y.batch) * extent(y.height * y.width) *
                                                  extent(y.channel_stride)
                                            : std::size_t{64});
}

void Conv2dFused::make_sums(int chunks) {
  sum_chunks_ = SumChunks(device_, (depth(shape_) + 1) * shape_.output.channel_stride);
  reserve_partial(chunks);
}

void Conv2dFused::reserve_partial(int chunks) {
  const std::size_t bytes = extent(chunks) * extent(depth(shape_) + 1) *
                            extent(shape_.output.channel_stride) * sizeof(float);
  device_.reserve(partial_, bytes);
}

void Conv2dFused::sum_partial(const opencl::Buffer& dweight, const opencl::Buffer& dbias,
                              int chunks, int passes) {
  sum_chunks_.run(device_, partial_, dweight, dbias, chunks, passes,
                  depth(shape_) * shape_.output.channel_stride);
}

}  // namespace dovetail
