// Launches batch normalisation.
#include "ops/batch_norm.hpp"

#include "dovetail_kernels.hpp"

namespace dovetail {

BatchNorm::BatchNorm(opencl::Device& device, Variant variant, const Layout& layout, float epsilon)
    : device_(device), capacity_(layout.batch), sums_(device, variant, layout, epsilon) {
  normalise_ = sums_.program().kernel(kernels::batch_norm_::normalise);
  slice_gradients_ = sums_.program().kernel(kernels::batch_norm_::slice_gradients);
  input_gradient_ = sums_.program().kernel(kernels::batch_norm_::input_gradient);
}

void BatchNorm::normalise(const opencl::Buffer& x, const opencl::Buffer& mean,
                          const opencl::Buffer& beta, const opencl::Buffer& y, int batch,
                          bool relu) {
  const Lines& lines = sums_.lines();
  device_.launch(normalise_, lines.groups(batch * lines.rows()), x, mean, sums_.scale(), beta, y,
                 lines.map(), std::int32_t{relu ? 1 : 0});
}

void BatchNorm::forward(const opencl::Buffer& x, const opencl::Buffer& gamma,
                        const opencl::Buffer& beta, const opencl::Buffer& mean,
                        const opencl::Buffer& variance, const opencl::Buffer& y, int batch,
                        bool relu) {
  sums_.statistics(x, gamma, mean, variance, batch);
  normalise(x, mean, beta, y, batch, relu);
}

void BatchNorm::infer(const opencl::Buffer& x, const opencl::Buffer& gamma,
                      const opencl::Buffer& beta, const opencl::Buffer& mean,
                      const opencl::Buffer& variance, const opencl::Buffer& y, int batch,
                      bool relu) {
  expect_batch(batch, capacity_);
  sums_.inference(gamma, variance);
  normalise(x, mean, beta, y, batch, relu);
}

void BatchNorm::backward(const opencl::Buffer& x, const opencl::Buffer& dy,
                         const opencl::Buffer& gamma, const opencl::Buffer& mean,
                         const opencl::Buffer& variance, const opencl::Buffer& dx,
                         const opencl::Buffer& dgamma, const opencl::Buffer& dbeta, int batch) {
  expect_batch(batch, capacity_);
  const Lines& lines = sums_.lines();
  const BatchNormSums::Slices cut = sums_.slices(batch * lines.rows());
  device_.launch(slice_gradients_, lines.slice_groups(cut.count), x, dy, mean, sums_.first(),
                 sums_.second(), lines.map(), cut.lines, cut.slice_lines);
  sums_.gradients(cut.count, batch, gamma, variance, dgamma, dbeta);
  device_.launch(input_gradient_, lines.groups(cut.lines), x, dy, mean, sums_.gradient_scale(),
                 sums_.offset(), sums_.slope(), dx, lines.map());
}

}  // namespace dovetail
