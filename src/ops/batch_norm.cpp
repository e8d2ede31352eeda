// Launches batch normalisation.
#include "ops/batch_norm.hpp"

#include <algorithm>

#include "dovetail_kernels.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

int lanes_of(Variant variant) {
  return variant == Variant::cpu ? 16 : 4;
}

}  // namespace

BatchNorm::BatchNorm(opencl::Device& device, Variant variant, const Layout& layout, float epsilon)
    : device_(device),
      capacity_(layout.batch),
      lines_(device, variant, layout, lanes_of(variant)),
      max_slices_(variant == Variant::cpu ? 128 : 1024),
      fold_items_(variant == Variant::cpu ? 1 : 64),
      epsilon_(epsilon) {
  if (!(epsilon > 0))
    throw Error(fmt::format("batch normalisation with an epsilon of {}", epsilon));
  const std::size_t channel_bytes = static_cast<std::size_t>(layout.channel_stride) * sizeof(float);
  slice_first_ = device.allocate(channel_bytes * static_cast<std::size_t>(max_slices_));
  slice_second_ = device.allocate(channel_bytes * static_cast<std::size_t>(max_slices_));
  scale_ = device.allocate(channel_bytes);
  offset_ = device.allocate(channel_bytes);
  slope_ = device.allocate(channel_bytes);
  const opencl::Range group = lines_.slice_groups(1);
  const opencl::Program program = device.build(
      kernels::batch_norm,
      {fmt::format("LANES={}", lanes_of(variant)), fmt::format("ITEMS={}", fold_items_),
       fmt::format("VECTORS={}", group.local[1]), fmt::format("PARTS={}", group.local[2])});
  slice_statistics_ = program.kernel(kernels::batch_norm_::slice_statistics);
  batch_statistics_ = program.kernel(kernels::batch_norm_::batch_statistics);
  inference_scale_ = program.kernel(kernels::batch_norm_::inference_scale);
  normalise_ = program.kernel(kernels::batch_norm_::normalise);
  slice_gradients_ = program.kernel(kernels::batch_norm_::slice_gradients);
  batch_gradients_ = program.kernel(kernels::batch_norm_::batch_gradients);
  input_gradient_ = program.kernel(kernels::batch_norm_::input_gradient);
}

BatchNorm::Slices BatchNorm::slices(int batch) const {
  expect_batch(batch, capacity_);
  const std::int32_t lines = batch * lines_.rows();
  const std::int32_t slice_lines = (lines + max_slices_ - 1) / max_slices_;
  return {
      .lines = lines, .slice_lines = slice_lines, .count = (lines + slice_lines - 1) / slice_lines};
}

opencl::Range BatchNorm::folding_groups() const {
  return {.global = {static_cast<std::size_t>(lines_.vectors()) * fold_items_, 1, 1},
          .local = {fold_items_, 1, 1}};
}

void BatchNorm::normalise(const opencl::Buffer& x, const opencl::Buffer& mean,
                          const opencl::Buffer& beta, const opencl::Buffer& y, int batch,
                          bool relu) {
  device_.launch(normalise_, lines_.groups(batch * lines_.rows()), x, mean, scale_, beta, y,
                 lines_.map(), std::int32_t{relu ? 1 : 0});
}

void BatchNorm::forward(const opencl::Buffer& x, const opencl::Buffer& gamma,
                        const opencl::Buffer& beta, const opencl::Buffer& mean,
                        const opencl::Buffer& variance, const opencl::Buffer& y, int batch,
                        bool relu) {
  const Slices cut = slices(batch);
  device_.launch(slice_statistics_, lines_.slice_groups(cut.count), x, slice_first_, slice_second_,
                 lines_.map(), cut.lines, cut.slice_lines);
  device_.launch(batch_statistics_, folding_groups(), x, slice_first_, slice_second_, gamma, mean,
                 variance, scale_, lines_.map(), cut.count, cut.lines, cut.slice_lines, epsilon_);
  normalise(x, mean, beta, y, batch, relu);
}

void BatchNorm::infer(const opencl::Buffer& x, const opencl::Buffer& gamma,
                      const opencl::Buffer& beta, const opencl::Buffer& mean,
                      const opencl::Buffer& variance, const opencl::Buffer& y, int batch,
                      bool relu) {
  expect_batch(batch, capacity_);
  const opencl::Range vectors{.global = {static_cast<std::size_t>(lines_.vectors()), 1, 1},
                              .local = {1, 1, 1}};
  device_.launch(inference_scale_, vectors, gamma, variance, scale_, epsilon_);
  normalise(x, mean, beta, y, batch, relu);
}

void BatchNorm::backward(const opencl::Buffer& x, const opencl::Buffer& dy,
                         const opencl::Buffer& gamma, const opencl::Buffer& mean,
                         const opencl::Buffer& variance, const opencl::Buffer& dx,
                         const opencl::Buffer& dgamma, const opencl::Buffer& dbeta, int batch) {
  const Slices cut = slices(batch);
  const auto pixels = static_cast<float>(cut.lines) * static_cast<float>(lines_.columns());
  device_.launch(slice_gradients_, lines_.slice_groups(cut.count), x, dy, mean, slice_first_,
                 slice_second_, lines_.map(), cut.lines, cut.slice_lines);
  device_.launch(batch_gradients_, folding_groups(), slice_first_, slice_second_, gamma, variance,
                 dgamma, dbeta, scale_, offset_, slope_, cut.count, pixels, epsilon_);
  device_.launch(input_gradient_, lines_.groups(batch * lines_.rows()), x, dy, mean, scale_,
                 offset_, slope_, dx, lines_.map());
}

}  // namespace dovetail
