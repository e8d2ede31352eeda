// Launches batch normalisation.
#include "ops/batch_norm.hpp"

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {

BatchNorm::BatchNorm(opencl::Device& device, Variant variant, const Layout& layout, float epsilon)
    : device_(device),
      capacity_(layout.batch),
      sums_(device, variant, layout, epsilon),
      output_(sums_.lines()) {
  normalise_ = sums_.program().kernel(kernels::batch_norm_::normalise);
  slice_gradients_ = sums_.program().kernel(kernels::batch_norm_::slice_gradients);
  input_gradient_ = sums_.program().kernel(kernels::batch_norm_::input_gradient);
}

BatchNorm::BatchNorm(opencl::Device& device, Variant variant, const Layout& input,
                     const Layout& output, int pool, float epsilon)
    : device_(device),
      capacity_(input.batch),
      pool_(pool),
      sums_(device, variant, input, epsilon),
      output_(device, variant, output, BatchNormSums::lanes(variant)) {
  if (pool < 2 || output.height != input.height / pool || output.width != input.width / pool ||
      output.channels != input.channels || output.channel_stride != input.channel_stride ||
      output.batch != input.batch || output.height < 1 || output.width < 1) {
    throw Error(fmt::format(
        "batch normalisation of {}x{}x{} with a {}x{} pool does not give {}x{}x{}", input.channels,
        input.height, input.width, pool, pool, output.channels, output.height, output.width));
  }
  const opencl::Range group = output_.slice_groups(1);
  const opencl::Program program = device.build(
      kernels::batch_norm_pool,
      {fmt::format("LANES={}", BatchNormSums::lanes(variant)), fmt::format("POOL={}", pool),
       fmt::format("VECTORS={}", group.local[1]), fmt::format("PARTS={}", group.local[2])});
  normalise_ = program.kernel(kernels::batch_norm_pool_::normalise_pool);
  slice_gradients_ = program.kernel(kernels::batch_norm_pool_::slice_pool_gradients);
  input_gradient_ = program.kernel(kernels::batch_norm_pool_::input_pool_gradient);
}

void BatchNorm::normalise(const opencl::Buffer& x, const opencl::Buffer& mean,
                          const opencl::Buffer& beta, const opencl::Buffer& y,
                          const JoinedBatch& batch, bool relu) {
  const opencl::Range groups = output_.groups(batch.samples() * output_.rows());
  const std::int32_t pass_lines = batch.each * output_.rows();
  const std::int32_t rectifies = relu ? 1 : 0;
  if (pool_ == 1) {
    device_.launch(normalise_, groups, x, mean, sums_.scale(), beta, y, output_.map(), rectifies,
                   pass_lines);
  } else {
    device_.launch(normalise_, groups, x, mean, sums_.scale(), beta, y, sums_.lines().map(),
                   output_.map(), rectifies, pass_lines);
  }
}

void BatchNorm::forward(const opencl::Buffer& x, const opencl::Buffer& gamma,
                        const opencl::Buffer& beta, const opencl::Buffer& mean,
                        const opencl::Buffer& variance, const opencl::Buffer& y,
                        const JoinedBatch& batch, bool relu, const TileStatistics* tiles) {
  sums_.statistics(x, gamma, beta, mean, variance, batch, tiles);
  normalise(x, mean, beta, y, batch, relu);
}

void BatchNorm::prepare(const opencl::Buffer& x, const opencl::Buffer& gamma,
                        const opencl::Buffer& beta, const opencl::Buffer& mean,
                        const opencl::Buffer& variance, int batch, const TileStatistics* tiles) {
  sums_.statistics(x, gamma, beta, mean, variance, batch, tiles);
}

void BatchNorm::prepare_inference(const opencl::Buffer& gamma, const opencl::Buffer& beta,
                                  const opencl::Buffer& mean, const opencl::Buffer& variance) {
  sums_.inference(gamma, beta, mean, variance);
}

void BatchNorm::infer(const opencl::Buffer& x, const opencl::Buffer& gamma,
                      const opencl::Buffer& beta, const opencl::Buffer& mean,
                      const opencl::Buffer& variance, const opencl::Buffer& y, int batch,
                      bool relu) {
  expect_batch(batch, capacity_);
  sums_.inference(gamma, beta, mean, variance);
  normalise(x, mean, beta, y, batch, relu);
}

void BatchNorm::sum_gradients(const opencl::Buffer& x, const opencl::Buffer& dy,
                              const opencl::Buffer& gamma, const opencl::Buffer& beta,
                              const opencl::Buffer& mean, const opencl::Buffer& variance,
                              const opencl::Buffer& dgamma, const opencl::Buffer& dbeta,
                              const JoinedBatch& batch, const TileGradients* tiles) {
  expect_batch(batch.samples(), capacity_);
  const Lines& input = sums_.lines();
  const BatchNormSums::Slices cut = sums_.slices(batch.each * output_.rows());
  const opencl::Range slices = output_.slice_groups(batch.passes * cut.count);
  if (tiles) {
    if (pool_ > 1 || batch.passes > 1)
      throw Error("batch normalisation: tiles of a gradient behind a pool, or of several passes");
    sums_.gradients(*tiles, batch.each, gamma, variance, dgamma, dbeta);
    return;
  }
  if (pool_ == 1) {
    device_.launch(slice_gradients_, slices, x, dy, mean, sums_.first(), sums_.second(),
                   input.map(), cut.lines, cut.slice_lines, cut.count);
  } else {
    device_.launch(slice_gradients_, slices, x, dy, mean, sums_.scale(), beta, sums_.first(),
                   sums_.second(), input.map(), output_.map(), cut.lines, cut.slice_lines,
                   cut.count);
  }
  sums_.gradients(cut.count, batch, gamma, variance, dgamma, dbeta);
}

void BatchNorm::prepare_backward(const opencl::Buffer& x, const opencl::Buffer& dy,
                                 const opencl::Buffer& gamma, const opencl::Buffer& mean,
                                 const opencl::Buffer& variance, const opencl::Buffer& dgamma,
                                 const opencl::Buffer& dbeta, int batch,
                                 const TileGradients* tiles) {
  if (pool_ > 1) throw Error("batch normalisation: a pool's gradient that is not to be written");
  const opencl::Buffer& no_beta = gamma;  // a pool alone reads it
  sum_gradients(x, dy, gamma, no_beta, mean, variance, dgamma, dbeta, batch, tiles);
}

void BatchNorm::backward(const opencl::Buffer& x, const opencl::Buffer& dy,
                         const opencl::Buffer& gamma, const opencl::Buffer& beta,
                         const opencl::Buffer& mean, const opencl::Buffer& variance,
                         const opencl::Buffer& dx, const opencl::Buffer& dgamma,
                         const opencl::Buffer& dbeta, const JoinedBatch& batch,
                         const TileGradients* tiles) {
  sum_gradients(x, dy, gamma, beta, mean, variance, dgamma, dbeta, batch, tiles);
  const Lines& input = sums_.lines();
  const std::int32_t pass_cells = batch.each * ((input.rows() + pool_ - 1) / pool_);
  const opencl::Range cells = output_.groups(batch.passes * pass_cells);
  if (pool_ == 1) {
    device_.launch(input_gradient_, cells, x, dy, mean, sums_.gradient_scale(), sums_.offset(),
                   sums_.slope(), dx, input.map(), pass_cells);
  } else {
    device_.launch(input_gradient_, cells, x, dy, mean, sums_.scale(), beta, sums_.gradient_scale(),
                   sums_.offset(), sums_.slope(), dx, input.map(), output_.map(), pass_cells);
  }
}

}  // namespace dovetail
